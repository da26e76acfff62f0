import { InvalidArgumentError } from '../errors.ts'
import { expectEntries, expectHttpUrl, expectText } from '../runtime/validate.ts'

const LONGEST_KEY = 8_192
/** As many characters of a header's name as a message shows. */
const LONGEST_SHOWN = 100
/** What a header can carry: visible ASCII. Anything else would fail in the transport, with the key in its message. */
const HEADER_SAFE = /^[\x21-\x7e]+$/

/** @throws {@link InvalidArgumentError} naming `baseUrl` */
export function resolveBaseUrl(value: unknown): URL {
  const url = expectHttpUrl('baseUrl', value)
  // A password with a `/` in it ends the host early: `http://user:1/rest@host` is the host `user`, and the path would be shown.
  if (url.username !== '' || url.password !== '' || url.pathname.includes('@')) {
    throw new InvalidArgumentError('baseUrl', 'no credentials inside; the key goes into apiKey')
  }
  if (url.search !== '' || url.hash !== '') throw new InvalidArgumentError('baseUrl', 'no query and no fragment')
  return url
}

/** @throws {@link InvalidArgumentError} naming `apiKey`, and telling nothing of it */
export function resolveApiKey(value: unknown): string | undefined {
  if (value === undefined) return undefined
  const key = expectText('apiKey', value, LONGEST_KEY)
  if (!HEADER_SAFE.test(key)) throw new InvalidArgumentError('apiKey', 'visible ASCII characters only')
  return key
}

/** A name and a value as HTTP allows them; of values, visible ASCII, spaces and tabs. */
const HEADER_NAME = /^[\w!#$%&'*+.^`|~-]+$/
const HEADER_VALUE = /^[\t\x20-\x7e]*$/
/** Headers of the connection, which no client may set. */
const CONNECTION_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/**
 * The headers under lower-case names, so that each is there once.
 *
 * @throws {@link InvalidArgumentError} naming the header, and telling nothing of its value
 */
export function resolveHeaders(value: unknown): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {}
  for (const [name, text] of headerPairs(value)) {
    // A whole header line in place of a name (`authorization: Bearer …`) is not quoted further than a name reaches.
    const path = `headers.${/^[\w!#$%&'*+.^`|~-]*/.exec(name)?.[0].slice(0, LONGEST_SHOWN) ?? ''}`
    const key = name.toLowerCase()
    if (!HEADER_NAME.test(name) || key === '__proto__') throw new InvalidArgumentError(path, 'a name that a header can have')
    if (CONNECTION_HEADERS.has(key)) throw new InvalidArgumentError(path, 'a header that does not belong to the connection')
    if (Object.hasOwn(headers, key)) throw new InvalidArgumentError(path, 'each name once, in upper or lower case')
    if (typeof text !== 'string' || text.length > LONGEST_KEY || !HEADER_VALUE.test(text)) {
      throw new InvalidArgumentError(path, `text of at most ${LONGEST_KEY} visible ASCII characters, spaces and tabs`)
    }
    headers[key] = text.trim()
  }
  return Object.freeze(headers)
}

/** The names and values of headers that a host wrote as an object, or as something that iterates over pairs (`Headers`, `Map`). */
function headerPairs(value: unknown): [name: string, text: unknown][] {
  if (value === undefined) return []
  if (typeof value !== 'object' || value === null || !(Symbol.iterator in value)) {
    return expectEntries('headers', value)
  }
  return Array.from(value as Iterable<unknown>, (pair) => {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string') throw new InvalidArgumentError('headers', 'pairs of a name and a text')
    return [pair[0], pair[1]]
  })
}

/** @throws {@link InvalidArgumentError} naming `dialect` */
export function resolveDialect(value: unknown): 'auto' | 'unversioned' | 'v1' {
  if (value === 'auto' || value === 'unversioned' || value === 'v1') return value
  throw new InvalidArgumentError('dialect', "'auto', 'unversioned' or 'v1'")
}
