/** The content that a viewer requests, in the orchestrator's terms. */
export interface Content {
  readonly keyType: 'content_id' | 'infohash' | 'url' | 'magnet'
  readonly key: string
  /** Parameters of the engine that change the video, as a query: `transcode_audio=1`. Only viewers with the same ones share a stream. */
  readonly parameters?: string | undefined
}

/** Maximum number of alternatives of a content. */
const MAX_ALTERNATIVES = 8

/** The request is invalid, so that no engine could serve it. */
export class BadRequestError extends Error {
  override readonly name = 'BadRequestError'
}

/** The parameters that name a content, as players and engines call them. */
const KEYS = { id: 'content_id', infohash: 'infohash', url: 'url', magnet: 'magnet' } as const
const KEY_NAMES = Object.keys(KEYS) as (keyof typeof KEYS)[]
/** Links are longer than ids. The limit of all headers is 16 KiB. */
const MAX_LENGTH = { content_id: 256, infohash: 256, url: 2_048, magnet: 8_192 } as const
/** Other parameters are not passed on: `pid` and `sid` could take over the session of another viewer. */
const ENGINE_PARAMETERS: readonly string[] = ['_idx', 'preferred_audio_language', 'transcode_ac3', 'transcode_audio', 'transcode_mp3']
const PARAMETER_VALUE = /^[\w.,-]{1,32}$/

/**
 * Reads the requested content from a query. A parameter with an empty value counts as missing.
 *
 * @throws {@link BadRequestError} unless the query names exactly one
 */
export function parseContent(query: URLSearchParams): Content {
  const named = KEY_NAMES.flatMap((name) => query.getAll(name).map((key) => ({ name, key }))).filter(({ key }) => key.trim() !== '')
  const [first, ...others] = named
  if (first === undefined || others.length > 0) throw new BadRequestError(`exactly one of ${KEY_NAMES.join(', ')} is needed`)
  return toContent(KEYS[first.name], first.key, query)
}

/**
 * Checks a content that the path names.
 *
 * @throws {@link BadRequestError} if the key is invalid, or the query names another content
 */
export function parsePathContent(keyType: Content['keyType'], key: string, query: URLSearchParams): Content {
  if (KEY_NAMES.some((name) => query.has(name))) throw new BadRequestError('the path names the content, so the query must not')
  return toContent(keyType, key, query)
}

/**
 * Returns the content and its alternatives, which are played if it is dead: `?id=A&alt=B&alt=C`. They have the same kind of key and the same
 * engine parameters.
 *
 * @throws {@link BadRequestError} if an alternative is invalid, or there are more than 8
 */
export function withAlternatives(content: Content, query: URLSearchParams): readonly Content[] {
  const keys = query.getAll('alt').filter((key) => key.trim() !== '')
  if (keys.length > MAX_ALTERNATIVES) throw new BadRequestError(`alt: expected at most ${MAX_ALTERNATIVES} alternatives`)
  const others = new Set(keys)
  others.delete(content.key)
  return [content, ...Array.from(others, (key) => toContent(content.keyType, key, query))]
}

/** The engine's name of a key type: `id` for `content_id`. */
export function engineNameOf(keyType: Content['keyType']): string {
  return keyType === 'content_id' ? 'id' : keyType
}

function toContent(keyType: Content['keyType'], key: string, query: URLSearchParams): Content {
  const name = engineNameOf(keyType)
  if (key.trim() === '' || key.length > MAX_LENGTH[keyType]) {
    throw new BadRequestError(`${name}: expected 1 to ${MAX_LENGTH[keyType]} characters`)
  }
  if (hasControlCharacter(key)) throw new BadRequestError(`${name}: expected no control characters`)
  if (keyType === 'url' && !isWebUrl(key)) throw new BadRequestError('url: expected an http or https URL without a password')
  if (keyType === 'magnet' && !/^magnet:\?./i.test(key)) throw new BadRequestError('magnet: expected a link that begins with magnet:?')
  return { keyType, key, parameters: engineParameters(query) }
}

/** Rejects `file:` URLs: the engine would read its own files. Rejects passwords: orchestrators show the keys of streams. */
function isWebUrl(text: string): boolean {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol) && url.username === '' && url.password === ''
}

function hasControlCharacter(text: string): boolean {
  return /\p{Cc}/u.test(text)
}

function engineParameters(query: URLSearchParams): string | undefined {
  const parameters = new URLSearchParams()
  for (const name of ENGINE_PARAMETERS) {
    const value = query.get(name)
    if (value === null || value === '') continue
    if (!PARAMETER_VALUE.test(value)) throw new BadRequestError(`${name}: expected 1 to 32 letters, digits or any of _ . , -`)
    parameters.set(name, value)
  }
  return parameters.size === 0 ? undefined : parameters.toString()
}
