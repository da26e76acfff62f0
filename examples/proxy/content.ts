/** What a viewer asked for, in the orchestrator's terms. */
export interface Content {
  keyType: 'content_id' | 'infohash'
  key: string
}

/** A request that no engine could answer either. */
export class BadRequestError extends Error {
  override readonly name = 'BadRequestError'
}

/**
 * The content that a query names.
 *
 * @throws {@link BadRequestError} unless it names exactly one
 */
export function parseContent(query: URLSearchParams): Content {
  // Engines tell viewers apart by it: one that a viewer chose could cut off another's stream.
  if (query.has('pid')) throw new BadRequestError('pid: not allowed, every viewer gets its own')
  const ids = query.getAll('id')
  const infohashes = query.getAll('infohash')
  const [key] = [...ids, ...infohashes]
  if (key === undefined || ids.length + infohashes.length !== 1) throw new BadRequestError('exactly one of id and infohash is needed')
  if (key.trim() === '' || key.length > 256) throw new BadRequestError('id or infohash: expected 1 to 256 characters')
  return { keyType: ids.length === 1 ? 'content_id' : 'infohash', key }
}
