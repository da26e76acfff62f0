import { type Content, normalizeKey } from '../../model/content.ts'
import type { Candidate } from '../../model/engine.ts'
import type { EndedIds, EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from './ejection.ts'

/** Knows which contents the live streams of this client have. */
export interface LiveContents {
  /** The container ids of the engines on which a live stream of this client has this content. */
  enginesWith(content: Content): ReadonlySet<string>
  /** Whether a live stream of this client has this id. */
  has(streamId: string): boolean
}

/** Dependencies of {@link markContent}. */
export interface ContentSources {
  readonly liveContents: LiveContents
  readonly ejectionPolicy: EjectionPolicy
  readonly endedIds: EndedIds
}

/**
 * Sets `hasContent` of each candidate on which a known stream has this content, or on which this content failed lately.
 *
 * Known are the live streams of this client, and the streams of other proxies in this list. v1 lists their keys. The Python generations list only
 * their ids: an id that begins with the key and a `|` counts, because the client and the Go client make such ids by default.
 */
export function markContent(
  candidates: readonly Candidate[],
  content: Content,
  snapshot: EngineSnapshot,
  { liveContents, ejectionPolicy, endedIds }: ContentSources,
): readonly Candidate[] {
  // The list may be older than what is known of the own streams, and may not show the type of their keys.
  const isOthers = (streamId: string): boolean => !liveContents.has(streamId) && !endedIds.isOver(streamId, snapshot.sequence)
  const engines = new Set([...liveContents.enginesWith(content), ...ejectionPolicy.enginesFailedBy(content.key)])
  const key = normalizeKey(content.key)
  for (const stream of snapshot.streams ?? []) {
    if (stream.keyType !== content.keyType || normalizeKey(stream.key) !== key) continue
    if (stream.status !== 'ended' && isOthers(stream.id)) engines.add(stream.containerId)
  }
  const isNamedAfterIt = (streamId: string): boolean => streamId[key.length] === '|' && normalizeKey(streamId.slice(0, key.length)) === key
  const isListed = ({ streamIds }: Candidate['engine']): boolean =>
    snapshot.streams === undefined && streamIds.some((streamId) => isNamedAfterIt(streamId) && isOthers(streamId))
  return candidates.map((candidate) =>
    engines.has(candidate.engine.containerId) || isListed(candidate.engine) ? { ...candidate, hasContent: true } : candidate,
  )
}
