import type { StartEvent, Stream } from '../model/stream.ts'

/**
 * Distinguishes one life of a stream id from a later one. Hosts may choose ids, and an id may be live at another proxy after it ended in this
 * client: an end that is sent again must never end that later life.
 */
interface Life {
  /** Hash of the session. Every generation lists the session that the start named, also for a stream that it has moved (H10). */
  readonly session: string
  /** Hash of the session and the engine. `''`: the engine is not known. */
  readonly place: string
  /** When the orchestrator last started the stream, microseconds since the epoch by its own clock. `undefined`: no answer or list named it. */
  readonly startedAtUs?: number | undefined
  /** Number of starts with an unknown outcome, which may still be applied (H4). */
  readonly lateStarts: number
  /**
   * Makes two texts of one life differ; not compared with lists. In a claim: number of the attempt to end the life again, so that one process
   * claims each attempt. In a journal entry: number of the announcement, so that settling an older entry does not remove this one.
   */
  readonly attempt: number
}

/** The facts about a stream that make up its life. */
export interface LifeFacts {
  readonly event: Pick<StartEvent, 'session' | 'containerId'>
  /** Microseconds since the epoch, by the orchestrator's clock. */
  readonly startedAtUs?: number | undefined
  readonly lateStarts: number
  /** Number of the announcement. @default 0 */
  readonly attempt?: number | undefined
}

const SEPARATOR = '.'
const RADIX = 36

/** The life of a stream, as text of at most 64 characters: the store keeps it. */
export function lifeOf({ event, startedAtUs, lateStarts, attempt = 0 }: LifeFacts): string {
  let identity = identities.get(event)
  if (identity === undefined) {
    identity = identify({ ...event.session, containerId: event.containerId })
    identities.set(event, identity)
  }
  return encode({ ...identity, startedAtUs, lateStarts, attempt })
}

/** The identity of each event. A journal entry for its start and for its end need it, and an event never changes. */
const identities = new WeakMap<LifeFacts['event'], Pick<Life, 'session' | 'place'>>()

/** Whether a listed stream is this life or a late start of it, and not a later life of the same id. */
export function isListed(life: string, listed: Stream): boolean {
  const known = decode(life)
  const found = identify(listed)
  if (known.session !== found.session) return false
  if (isStartedBy(known, listed)) return true
  // A later start belongs to this life if one of its starts may have been applied late. After a restart the orchestrator applies it on
  // whichever engine has the address now (H9): so any engine will do.
  if (known.lateStarts > 0) return true
  // Without a time the engine decides.
  const hasNoTime = known.startedAtUs !== undefined && listed.startedAtUs === undefined
  return hasNoTime && (known.place === '' || known.place === found.place)
}

/** The life of a listed stream. If the list names no time, the engine alone identifies it. */
export function lifeListed(listed: Stream): string {
  const { startedAtUs } = listed
  return encode({ ...identify(listed), startedAtUs, lateStarts: startedAtUs === undefined ? 1 : 0, attempt: 0 })
}

/**
 * The life after one more end of its listed start.
 *
 * @param life `''`: not known. Then the result is the listed life
 * @param attempt see {@link Life.attempt}
 */
export function lifeAfterEnd(life: string, listed: Stream, attempt: number): string {
  const { startedAtUs } = listed
  if (life === '') return encode({ ...identify(listed), startedAtUs, lateStarts: 0, attempt })
  const known = decode(life)
  if (isStartedBy(known, listed)) return encode({ ...known, attempt })
  return encode({ ...known, startedAtUs: startedAtUs ?? known.startedAtUs, lateStarts: Math.max(0, known.lateStarts - 1), attempt })
}

/** Whether the listed start is not later than the last known start of this life, by the orchestrator's clock. */
function isStartedBy(known: Life, { startedAtUs }: Stream): boolean {
  return known.startedAtUs !== undefined && startedAtUs !== undefined && startedAtUs <= known.startedAtUs
}

interface Identity {
  readonly playbackSessionId: string
  readonly statUrl: string
  readonly containerId?: string | undefined
}

function identify({ playbackSessionId, statUrl, containerId }: Identity): Pick<Life, 'session' | 'place'> {
  // 2025-10 lists URLs as its parser normalizes them.
  const url = URL.parse(statUrl)?.href ?? statUrl
  // JSON, so that two different lists never become the same text. Both hashes are of texts with the same beginning, which is read once.
  const beginning = read(JSON.stringify([playbackSessionId, url]).slice(0, -1), HASH_OF_NOTHING)
  const session = toText(read(']', beginning))
  return { session, place: containerId === undefined ? '' : toText(read(`,${JSON.stringify(containerId)}]`, beginning)) }
}

function encode({ session, place, startedAtUs, lateStarts, attempt }: Life): string {
  return [session, place, startedAtUs?.toString(RADIX) ?? '', lateStarts.toString(RADIX), attempt.toString(RADIX)].join(SEPARATOR)
}

function decode(life: string): Life {
  const [session = '', place = '', startedAt = '', lateStarts = '', attempt = ''] = life.split(SEPARATOR)
  const numberIn = (text: string): number => Number.parseInt(text, RADIX) || 0
  return {
    session,
    place,
    startedAtUs: startedAt === '' ? undefined : numberIn(startedAt),
    lateStarts: numberIn(lateStarts),
    attempt: numberIn(attempt),
  }
}

/** The state of a hash of 53 bits (cyrb53). Enough to compare lives with equal ids, and synchronous on every platform. */
interface Hash {
  readonly low: number
  readonly high: number
}

const HASH_OF_NOTHING: Hash = { low: 0xdeadbeef, high: 0x41c6ce57 }

/** The hash of a text that continues the text of `before`. */
function read(text: string, before: Hash): Hash {
  let { low, high } = before
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    low = Math.imul(low ^ code, 2_654_435_761)
    high = Math.imul(high ^ code, 1_597_334_677)
  }
  return { low, high }
}

function toText(hash: Hash): string {
  let { low, high } = hash
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909)
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909)
  return (4_294_967_296 * (2_097_151 & high) + (low >>> 0)).toString(RADIX)
}
