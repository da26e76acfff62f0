import { type Content, normalizeKey } from '../../model/content.ts'
import type { EndedIds, EngineSnapshot } from '../list/snapshot.ts'
import type { EjectionPolicy } from './ejection.ts'

/** Knows which contents the live streams of this client have. */
export interface LiveContents {
  /** The container ids of the engines on which a live stream of this client has this content. */
  enginesWith(content: Content): ReadonlySet<string>
  /** Whether a live stream of this client has this id. */
  has(streamId: string): boolean
}

/** Dependencies of {@link ListedContents}. */
export interface ContentSources {
  readonly liveContents: LiveContents
  readonly ejectionPolicy: EjectionPolicy
  readonly endedIds: Pick<EndedIds, 'isOver'>
}

/** A stream in a list. */
interface ListedStream {
  readonly id: string
  readonly containerId: string
  /** The type of its key. `undefined`: it is not listed. */
  readonly keyType?: string
}

/**
 * Knows on which engines a content is. It reads a list once, for the first caller that names a content.
 *
 * Known are the live streams of this client, and the streams of other proxies in the list. v1 lists their keys. The Python generations list only
 * their ids: an id that begins with the key and a `|` counts, because the client and the Go client make such ids by default.
 */
export class ListedContents {
  readonly snapshot: EngineSnapshot
  readonly #sources: ContentSources
  /** The live streams of the list, by the normalized key on v1, or else by each part of the id that ends before a `|`. */
  #streams: ReadonlyMap<string, readonly ListedStream[]> | undefined

  constructor(snapshot: EngineSnapshot, sources: ContentSources) {
    this.snapshot = snapshot
    this.#sources = sources
  }

  /** The engines on which a known stream has this content, or on which this content failed lately. */
  enginesWith(content: Content): ReadonlySet<string> {
    const { liveContents, ejectionPolicy, endedIds } = this.#sources
    const { snapshot } = this
    const engines = new Set([...liveContents.enginesWith(content), ...ejectionPolicy.enginesFailedBy(content.key)])
    this.#streams ??= snapshot.streams === undefined ? byBeginning(snapshot) : byKey(snapshot.streams)
    for (const { id, containerId, keyType } of this.#streams.get(normalizeKey(content.key)) ?? []) {
      if (keyType !== undefined && keyType !== content.keyType) continue
      // The list may be older than what is known of the own streams, and may not show the type of their keys.
      if (!liveContents.has(id) && !endedIds.isOver(id, snapshot.sequence)) engines.add(containerId)
    }
    return engines
  }
}

function byKey(streams: NonNullable<EngineSnapshot['streams']>): Map<string, ListedStream[]> {
  const groups = new Map<string, ListedStream[]>()
  for (const stream of streams) if (stream.status !== 'ended') addTo(groups, normalizeKey(stream.key), stream)
  return groups
}

function byBeginning({ engines }: EngineSnapshot): Map<string, ListedStream[]> {
  const groups = new Map<string, ListedStream[]>()
  for (const { containerId, streamIds } of engines) {
    for (const id of streamIds) {
      for (let end = id.indexOf('|'); end >= 0; end = id.indexOf('|', end + 1))
        addTo(groups, normalizeKey(id.slice(0, end)), { id, containerId })
    }
  }
  return groups
}

function addTo(groups: Map<string, ListedStream[]>, key: string, stream: ListedStream): void {
  const group = groups.get(key)
  if (group === undefined) groups.set(key, [stream])
  else group.push(stream)
}
