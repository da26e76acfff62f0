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
 * Makes a {@link Redact} for `secrets`. It finds each as it is and percent-, JSON- or HTML-escaped, wholly, in part or more than once, since
 * servers and proxies echo what they were sent in all of these forms.
 */
export function redactorFor(...secrets: readonly (string | undefined)[]): Redact {
  const known = secrets.filter((secret) => secret !== undefined && secret !== '') as string[]
  if (known.length === 0) return (text) => text
  // The longest first: a secret may begin with another one.
  const alternatives = known.toSorted((a, b) => b.length - a.length).map((secret) => Array.from(secret, spellings).join(''))
  const pattern = new RegExp(alternatives.join('|'), 'gu')
  return (text) => text.replace(pattern, PLACEHOLDER)
}

/** Shorter header values are no secrets, and taking them out would make text unreadable (`x-forwarded-proto: https`). */
const SHORTEST_SECRET = 6

/** The secrets in the values of headers: each value, and what follows its scheme (`Basic …`). */
export function secretsOf(values: readonly string[]): string[] {
  return values.flatMap((value) => [value, value.replace(/^\S+ +/, '')]).filter((value) => value.length >= SHORTEST_SECRET)
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
