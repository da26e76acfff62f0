/** The body of a start or an end as Go's decoder returns it: missing fields and null are empty. */
export interface GoEvent {
  contentId: string
  engineId: string
  containerId: string
  streamId: string
  keyType: string
  key: string
  playbackSessionId: string
  statUrl: string
  commandUrl: string
  isLive: boolean
}

/** Thrown if a value has the wrong type. Go then rejects the whole body as `invalid json`. */
class WrongType extends Error {}

type Fields = Readonly<Record<string, unknown>>

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

function textOf(fields: Fields, name: string): string {
  const value = fields[name] ?? ''
  if (typeof value !== 'string') throw new WrongType()
  return value
}

/** Go does not accept `true` or `"1"` as a number. */
function wholeNumberOf(fields: Fields, name: string): number {
  const value = fields[name] ?? 0
  if (typeof value !== 'number' || !Number.isInteger(value)) throw new WrongType()
  return value
}

function fieldsOf(fields: Fields, name: string): Fields {
  const value = fields[name] ?? {}
  if (!isRecord(value)) throw new WrongType()
  return value
}

/** Decodes a body. Returns `undefined` if Go responds `invalid json`. Only types are checked. */
export function decodeEvent(raw: string): GoEvent | undefined {
  try {
    const parsed: unknown = JSON.parse(raw)
    if (parsed !== null && !isRecord(parsed)) return undefined
    const body = parsed ?? {}
    const engine = fieldsOf(body, 'engine')
    const stream = fieldsOf(body, 'stream')
    const session = fieldsOf(body, 'session')
    const labels = fieldsOf(body, 'labels')
    for (const name of Object.keys(labels)) textOf(labels, name)
    textOf(engine, 'host')
    wholeNumberOf(engine, 'port')
    textOf(body, 'reason')
    return {
      contentId: textOf(body, 'content_id'),
      engineId: textOf(body, 'engine_id'),
      containerId: textOf(body, 'container_id'),
      streamId: textOf(body, 'stream_id'),
      keyType: textOf(stream, 'key_type'),
      key: textOf(stream, 'key'),
      playbackSessionId: textOf(session, 'playback_session_id'),
      statUrl: textOf(session, 'stat_url'),
      commandUrl: textOf(session, 'command_url'),
      isLive: wholeNumberOf(session, 'is_live') !== 0,
    }
  } catch {
    return undefined
  }
}
