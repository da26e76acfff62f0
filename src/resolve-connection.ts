import { InvalidArgumentError } from './errors.ts'
import { expectHttpUrl, expectText } from './validate.ts'

const LONGEST_KEY = 8_192
/** What a header can carry: visible ASCII. Anything else would fail in the transport, with the key in its message. */
const HEADER_SAFE = /^[\x21-\x7e]+$/

/** @throws {@link InvalidArgumentError} naming `baseUrl` */
export function resolveBaseUrl(value: unknown): URL {
  const url = expectHttpUrl('baseUrl', value)
  if (url.username !== '' || url.password !== '') {
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

/** @throws {@link InvalidArgumentError} naming `dialect` */
export function resolveDialect(value: unknown): 'auto' | 'unversioned' | 'v1' {
  if (value === 'auto' || value === 'unversioned' || value === 'v1') return value
  throw new InvalidArgumentError('dialect', "'auto', 'unversioned' or 'v1'")
}
