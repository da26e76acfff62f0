import type { Engine, EngineList, Stream } from '../model/domain.ts'
import { type EngineRecord, engineFromRecord, isAddressable } from './engine-record.ts'
import type { Entries } from './entries.ts'
import { BAD_ADDRESS, type OnLeftOut, type UnreadableEntry } from './unreadable.ts'

const REPEATED = 'listed more than once'

/**
 * The engines of a list, with the ids of their streams: their own, or those that the stream list puts on them.
 *
 * @param streams the stream list, where the engines do not name their streams (v1)
 */
export function engineListFrom(engines: Entries<EngineRecord>, streams: Entries<Stream> | undefined, onLeftOut?: OnLeftOut): EngineList {
  const left: { engines: UnreadableEntry[]; streams: UnreadableEntry[] } = {
    engines: [...engines.unreadable],
    streams: [...(streams?.unreadable ?? [])],
  }
  const records = streams === undefined ? engines.entries : withStreams(engines.entries, streams.entries)
  const byId = new Map<string, EngineRecord>()
  for (const record of records) {
    const { containerId } = record
    const known = byId.get(containerId)
    if (!isAddressable(record)) left.engines.push({ id: containerId, cause: BAD_ADDRESS })
    else byId.set(containerId, known === undefined ? record : merged(known, record))
    if (known !== undefined) onLeftOut?.('engine', { id: containerId, cause: REPEATED })
  }
  for (const entry of left.engines) onLeftOut?.('engine', entry)
  for (const entry of left.streams) onLeftOut?.('stream', entry)
  return Object.freeze({
    engines: Object.freeze(Array.from(byId.values(), engineFromRecord)),
    ...(streams === undefined ? {} : { streams: eachOnce(streams.entries, onLeftOut) }),
    ...(left.engines.length + left.streams.length === 0 ? {} : { unreadable: left }),
  })
}

/** Streams with each id once: an entry that is live before one that has ended, else the first. */
export function eachOnce(streams: readonly Stream[], onLeftOut?: OnLeftOut): readonly Stream[] {
  const byId = new Map<string, Stream>()
  for (const stream of streams) {
    const known = byId.get(stream.id)
    if (known === undefined || (known.status === 'ended' && stream.status !== 'ended')) byId.set(stream.id, stream)
    if (known !== undefined) onLeftOut?.('stream', { id: stream.id, cause: REPEATED })
  }
  return byId.size === streams.length ? streams : [...byId.values()]
}

/**
 * An engine that is listed twice counts once. The first entry wins, whatever the others hold: a choice by content would change from list to
 * list. But all streams of all entries count, and any entry may say that it is draining, so that it never looks emptier than it is.
 */
function merged(first: EngineRecord, other: EngineRecord): EngineRecord {
  return {
    ...first,
    streamIds: [...new Set([...first.streamIds, ...other.streamIds])],
    draining: first.draining || other.draining,
  }
}

/** The records with the ids of the streams that the stream list puts on them, in place of their own. */
function withStreams(records: readonly EngineRecord[], streams: readonly Stream[]): EngineRecord[] {
  const live = new Map<string, Set<string>>()
  for (const { status, containerId, id } of streams) {
    if (status === 'ended') continue
    const ids = live.get(containerId)
    if (ids === undefined) live.set(containerId, new Set([id]))
    else ids.add(id)
  }
  return records.map((record) => ({ ...record, streamIds: [...(live.get(record.containerId) ?? [])] }))
}

/** The engine ids that a list names, whether or not the entry could be used. */
export function namedEngines({ engines, unreadable }: Pick<EngineList, 'unreadable'> & { engines: readonly Engine[] }): Set<string> {
  const ids = new Set(engines.map(({ containerId }) => containerId))
  for (const { id } of unreadable?.engines ?? []) if (id !== undefined) ids.add(id)
  return ids
}
