/** Replaces all secrets in a text. Every text that goes into an error or a log line passes through one. */
export type Redact = (text: string) => string

const PLACEHOLDER = '***'
/** JSON inside JSON doubles its backslashes. Limited, since a body of backslashes only would take too long. */
const MAX_BACKSLASHES = 8
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
 * Length of the pattern that finds the beginning of a secret. A pattern of a whole long key overflows the stack of the regular expression
 * engine.
 */
const PATTERN_LENGTH = 8
/**
 * The beginning of a secret is replaced too if it is this long, because a text may be cut off within the secret. This also keeps the work
 * linear: no more characters than this are compared twice.
 */
const REVEALING_LENGTH = 64
/** How many ways to read one text are followed at the same time. Only secrets with many backslashes have more than a few. */
const MAX_READINGS = 64

/**
 * Makes a {@link Redact} that replaces each secret with `***`. It finds a secret of any length, as it is and with some or all characters
 * escaped for a URL, JSON or HTML, once or several times: servers and proxies repeat a request in all these forms.
 *
 * @param secrets empty texts and `undefined` are ignored
 */
export function makeRedactor(...secrets: readonly (string | undefined)[]): Redact {
  const known = [...new Set(secrets)].filter((secret) => secret !== undefined && secret !== '') as string[]
  if (known.length === 0) return (text) => text
  const decoded = known.map((secret) => Array.from(secret, listSpellings))
  const beginnings = known.map((secret) => Array.from(takeBeginning(secret), makePattern).join(''))
  const beginning = new RegExp([...new Set(beginnings)].join('|'), 'gu')
  return (text) => {
    let redacted = ''
    let copied = 0
    beginning.lastIndex = 0
    for (let match = beginning.exec(text); match !== null; match = beginning.exec(text)) {
      const { index } = match
      // One secret may be the beginning of another: replace the longest.
      const end = Math.max(...decoded.map((characters) => findEnd(characters, text, index)))
      beginning.lastIndex = Math.max(end, index + 1)
      if (end <= index) continue
      redacted += text.slice(copied, index) + PLACEHOLDER
      copied = end
    }
    return copied === 0 ? text : redacted + text.slice(copied)
  }
}

/** Shorter header values are not secrets, and their redaction would make a text unreadable (`x-forwarded-proto: https`). */
const SHORTEST_SECRET = 6

/** A name and its value, in the header `cookie`. */
const COOKIE = /(?:^|;)[^=;]+=([^;]+)/g

/**
 * Finds the secrets in the values of headers: each value, with and without its scheme (`Basic …`), and the value of each cookie in it.
 *
 * @param shown URLs that errors show. A value that is a part of one (`x-forwarded-host: orchestrator`) is not a secret
 */
export function findHeaderSecrets(values: readonly string[], ...shown: readonly string[]): string[] {
  return values
    .flatMap((value) => [value, value.replace(/^\S+ +/, ''), ...Array.from(value.matchAll(COOKIE), ([, cookie = '']) => cookie)])
    .filter((value) => value.length >= SHORTEST_SECRET && !shown.some((url) => url.includes(value)))
}

/** The index in `text` at which the secret that begins at `index` ends; -1 if it does not begin there. */
function findEnd(characters: readonly (readonly string[])[], text: string, index: number): number {
  let ends: readonly number[] = [index]
  let reached = -1
  let length = 0
  for (const spelt of characters) {
    ends = findEnds(spelt, text, ends)
    if (ends.length === 0) break
    length += 1
    reached = Math.max(...ends)
  }
  return length === characters.length || length >= REVEALING_LENGTH ? reached : -1
}

/** All indexes at which a character can end that begins at one of `starts`. `spelt` has its spellings. */
function findEnds(spelt: readonly string[], text: string, starts: readonly number[]): readonly number[] {
  const ends = new Set<number>()
  for (const start of starts) {
    let at = start
    for (let skipped = 0; skipped <= MAX_BACKSLASHES; skipped += 1, at += 1) {
      for (const spelling of spelt) {
        if (text.startsWith(spelling, at) || (spelling.length > 2 && text.slice(at, at + spelling.length).toLowerCase() === spelling)) {
          ends.add(at + spelling.length)
        }
      }
      if (text[at] !== '\\') break
    }
  }
  return [...ends].slice(0, MAX_READINGS)
}

/** The first characters of a secret, up to its first backslash: a pattern has too many ways to match a run of backslashes. */
function takeBeginning(secret: string): string {
  const characters = Array.from(secret).slice(0, PATTERN_LENGTH)
  const backslash = characters.indexOf('\\')
  return characters.slice(0, backslash === -1 ? PATTERN_LENGTH : Math.max(backslash, 1)).join('')
}

/** All spellings of a character: escaped in lower case, and as it is. */
function listSpellings(character: string): readonly string[] {
  const percent = Array.from(new TextEncoder().encode(character), (byte) => `%${byte.toString(16).padStart(2, '0')}`).join('')
  const json = Array.from({ length: character.length }, (_, index) => {
    return `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`
  }).join('')
  return [json, percent, ...(NAMED_ESCAPES[character] ?? []), character]
}

/** A pattern for all spellings of a character. */
function makePattern(character: string): string {
  const encoded = listSpellings(character).map((spelling) => {
    const pattern = spelling.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')
    return spelling.length > 2 ? pattern.replace(/[a-f]/g, (digit) => `[${digit}${digit.toUpperCase()}]`) : pattern
  })
  return `\\\\{0,${MAX_BACKSLASHES}}(?:${encoded.join('|')})`
}
