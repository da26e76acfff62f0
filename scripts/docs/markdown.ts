/** What this file uses of markdown-it, which brings no types. */
interface Markdown {
  readonly core: { readonly ruler: { push(name: string, rule: (state: { readonly tokens: readonly Token[] }) => void): void } }
  readonly renderer: { readonly rules: Record<string, Render | undefined> }
}
type Render = (tokens: readonly Token[], index: number, ...rest: unknown[]) => string
interface Token {
  readonly type: string
  readonly info: string
  readonly content: string
  children: readonly Pick<Token, 'type' | 'content'>[] | null
}

/**
 * Lets a wide table scroll by itself, and shows a state diagram as a table: the site has no script that could draw it. Code in a heading is a
 * part of its anchor, as on a code host.
 */
export function extendMarkdown(parser: Markdown): void {
  const { rules } = parser.renderer
  const fence = rules['fence']
  if (fence === undefined) throw new Error('This release of markdown-it has no rule for code blocks')
  parser.core.ruler.push('code-in-headings', ({ tokens }) => {
    const headings = tokens.filter((_, index) => tokens[index - 1]?.type === 'heading_open')
    const code = headings.flatMap(({ children }) => (children ?? []) as readonly Token[]).filter(({ type }) => type === 'code_inline')
    // TypeDoc makes the anchor of the texts among the tokens. What is shown is the content of the code itself.
    for (const token of code) token.children = [{ type: 'text', content: token.content }]
  })
  rules['table_open'] = () => '<div class="wide"><table>'
  rules['table_close'] = () => '</table></div>'
  rules['fence'] = (tokens, index, ...rest) => {
    const { info, content } = tokens[index] ?? { info: '', content: '' }
    return info.trim() === 'mermaid' ? stateTable(content) : fence(tokens, index, ...rest)
  }
}

/** The transitions of a Mermaid state diagram as the rows of a table. Throws if it is another kind of diagram. */
export function stateTable(diagram: string): string {
  const [kind, ...lines] = diagram.trim().split('\n')
  if (kind !== 'stateDiagram-v2') throw new Error(`The site can show state diagrams only, and not: ${kind}`)
  const rows = lines.map((line) => {
    const [, from, to, event] = /^\s*(\S+) --> (\S+?): (.+)$/.exec(line) ?? []
    if (from === undefined || to === undefined || event === undefined) throw new Error(`Not a transition of a state diagram: ${line}`)
    return `<tr><td>${state(from)}</td><td>${escapeHtml(event)}</td><td>${state(to)}</td></tr>`
  })
  return `<div class="wide"><table><thead><tr><th>from</th><th>when</th><th>to</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`
}

function state(name: string): string {
  return name === '[*]' ? '(none)' : `<strong>${escapeHtml(name)}</strong>`
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
