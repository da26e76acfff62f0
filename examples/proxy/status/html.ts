/** HTML that is safe to send: every value in it was escaped. Only {@link html} makes it. */
export class Html {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

type Value = string | number | undefined | Html | readonly Html[]

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/**
 * Template tag that escapes every text, for contents of elements and for attributes in double quotes. `undefined` becomes an empty text.
 *
 * @example
 * html`<li title="${name}">${name}</li>`
 */
export function html(strings: TemplateStringsArray, ...values: readonly Value[]): Html {
  return new Html(strings.reduce((text, part, index) => text + toText(values[index - 1]) + part))
}

function toText(value: Value): string {
  if (value instanceof Html) return value.text
  if (typeof value === 'object') return value.map(({ text }) => text).join('')
  return String(value ?? '').replace(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}
