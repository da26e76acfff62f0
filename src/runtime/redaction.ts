/** Replaces a secret in text that is about to reach an error or a log. */
export type Redact = (text: string) => string

const PLACEHOLDER = '***'
/** JSON quoted in JSON doubles its backslashes each time. Bounded, or a body of nothing but backslashes would take for ever. */
const BACKSLASHES = '\\\\{0,8}'
const NAMED_ESCAPES: Readonly<Record<string, readonly string[]>> = {
  '"': ['\\"', '&quot;', '&#34;'],
  '\\': ['\\\\'],
  '/': ['\\/'],
  '&': ['&amp;'],
  '<': ['&lt;'],
  '>': ['&gt;'],
  "'": ['&#39;', '&#x27;', "\\'"],
  ' ': ['+'],
  '\t': ['\\t'],
}

/**
 * Makes a {@link Redact} for `secret`. It finds the secret as it is and percent-, JSON- or HTML-escaped, wholly, in part or more than
 * once, since servers and proxies echo what they were sent in all of these forms.
 */
export function redactorFor(secret: string | undefined): Redact {
  if (secret === undefined || secret === '') return (text) => text
  const pattern = new RegExp(Array.from(secret, spellings).join(''), 'gu')
  return (text) => text.replace(pattern, PLACEHOLDER)
}

/** A pattern for every way in which one character may be spelt. */
function spellings(character: string): string {
  const percent = Array.from(new TextEncoder().encode(character), (byte) => `%${eitherCase(byte.toString(16).padStart(2, '0'))}`).join('')
  const json = Array.from({ length: character.length }, (_, index) => {
    return `\\\\u${eitherCase(character.charCodeAt(index).toString(16).padStart(4, '0'))}`
  }).join('')
  const named = (NAMED_ESCAPES[character] ?? []).map(escapePattern)
  // The longest first: `\"` must not be left with its backslash.
  return `${BACKSLASHES}(?:${[json, percent, ...named, escapePattern(character)].join('|')})`
}

function eitherCase(hex: string): string {
  return hex.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`)
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
}
