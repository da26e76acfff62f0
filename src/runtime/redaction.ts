/** Replaces a secret in text that is about to reach an error or a log. */
export type Redact = (text: string) => string

const PLACEHOLDER = '***'
/** JSON quoted in JSON doubles its backslashes each time. Bounded, or a body of nothing but backslashes would take for ever. */
const MOST_BACKSLASHES = 8
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
/** A pattern finds where a secret may begin. It is short: the engine for regular expressions overflows its stack on one for a whole long key. */
const PATTERN_LENGTH = 8
/**
 * So many characters of a secret are replaced even if the text goes on differently: a text may be cut off. It also keeps the work linear,
 * since a text is never read again that far.
 */
const REVEALING_LENGTH = 64
/** Readings of one text that are followed at once. Only secrets with many backslashes have more than a few. */
const MOST_READINGS = 64

/**
 * Makes a {@link Redact} for `secrets`. It finds each as it is and percent-, JSON- or HTML-escaped, wholly, in part or more than once, since
 * servers and proxies echo what they were sent in all of these forms. Takes secrets of any length.
 */
export function redactorFor(...secrets: readonly (string | undefined)[]): Redact {
  const known = [...new Set(secrets)].filter((secret) => secret !== undefined && secret !== '') as string[]
  if (known.length === 0) return (text) => text
  const decoded = known.map((secret) => Array.from(secret, spellings))
  const beginnings = known.map((secret) => Array.from(beginningOf(secret), patternFor).join(''))
  const beginning = new RegExp([...new Set(beginnings)].join('|'), 'gu')
  return (text) => {
    let redacted = ''
    let copied = 0
    beginning.lastIndex = 0
    for (let match = beginning.exec(text); match !== null; match = beginning.exec(text)) {
      const { index } = match
      // The longest end: a secret may begin with another one.
      const end = Math.max(...decoded.map((characters) => endOf(characters, text, index)))
      beginning.lastIndex = Math.max(end, index + 1)
      if (end <= index) continue
      redacted += text.slice(copied, index) + PLACEHOLDER
      copied = end
    }
    return copied === 0 ? text : redacted + text.slice(copied)
  }
}

/** Shorter header values are no secrets, and taking them out would make text unreadable (`x-forwarded-proto: https`). */
const SHORTEST_SECRET = 6

/**
 * The secrets in the values of headers: each value, and what follows its scheme (`Basic …`).
 *
 * @param shown URLs that errors show. A value that is a part of one (`x-forwarded-host: orchestrator`) is no secret
 */
export function secretsOf(values: readonly string[], ...shown: readonly string[]): string[] {
  return values
    .flatMap((value) => [value, value.replace(/^\S+ +/, '')])
    .filter((value) => value.length >= SHORTEST_SECRET && !shown.some((url) => url.includes(value)))
}

/** Where the secret that begins at `index` ends in `text`; -1 if none begins there. */
function endOf(characters: readonly (readonly string[])[], text: string, index: number): number {
  let ends: readonly number[] = [index]
  let reached = -1
  let length = 0
  for (const spelt of characters) {
    ends = endsOf(spelt, text, ends)
    if (ends.length === 0) break
    length += 1
    reached = Math.max(...ends)
  }
  return length === characters.length || length >= REVEALING_LENGTH ? reached : -1
}

/** All places where one character can end that begins at one of `starts`. */
function endsOf(spelt: readonly string[], text: string, starts: readonly number[]): readonly number[] {
  const ends = new Set<number>()
  for (const start of starts) {
    let at = start
    for (let skipped = 0; skipped <= MOST_BACKSLASHES; skipped += 1, at += 1) {
      for (const spelling of spelt) {
        if (text.startsWith(spelling, at) || (spelling.length > 2 && text.slice(at, at + spelling.length).toLowerCase() === spelling)) {
          ends.add(at + spelling.length)
        }
      }
      if (text[at] !== '\\') break
    }
  }
  return [...ends].slice(0, MOST_READINGS)
}

/** The first characters of a secret. None after a backslash, of which a pattern has too many ways to read a run. */
function beginningOf(secret: string): string {
  const characters = Array.from(secret).slice(0, PATTERN_LENGTH)
  const backslash = characters.indexOf('\\')
  return characters.slice(0, backslash === -1 ? PATTERN_LENGTH : Math.max(backslash, 1)).join('')
}

/** Every way in which one character may be spelt, in lower case where it is encoded. */
function spellings(character: string): readonly string[] {
  const percent = Array.from(new TextEncoder().encode(character), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
  const json = Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`
  }).join('')
  return [json, percent, ...(NAMED_ESCAPES[character] ?? []), character]
}

/** A pattern for every way in which one character may be spelt. */
function patternFor(character: string): string {
  const encoded = spellings(character).map((spelling) => {
    const pattern = spelling.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    return spelling.length > 2 ? pattern.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`) : pattern
  })
  return `\\\\{0,${MOST_BACKSLASHES}}(?:${encoded.join('|')})`
}
