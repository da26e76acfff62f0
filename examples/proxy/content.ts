/** The content that a viewer requests, in the orchestrator's terms. */
export interface Content {
  keyType: 'content_id' | 'infohash'
  key: string
}

/** The request is invalid, so that no engine could serve it. */
export class BadRequestError extends Error {
  override readonly name = 'BadRequestError'
}

/**
 * Reads the requested content from a query.
 *
 * @throws {@link BadRequestError} unless the query names exactly one
 */
export function parseContent(query: URLSearchParams): Content {
  // Engines distinguish sessions by their pid: a viewer could choose the pid of another session and cut it off.
  if (query.has('pid')) throw new BadRequestError('pid: not allowed, the proxy chooses it')
  const ids = query.getAll('id')
  const infohashes = query.getAll('infohash')
  const [key] = [...ids, ...infohashes]
  if (key === undefined || ids.length + infohashes.length !== 1) throw new BadRequestError('exactly one of id and infohash is needed')
  if (key.trim() === '' || key.length > 256) throw new BadRequestError('id or infohash: expected 1 to 256 characters')
  return { keyType: ids.length === 1 ? 'content_id' : 'infohash', key }
}
