import type { StartEvent, Stream } from '../model/stream.ts'

/**
 * What distinguishes one life of a stream id from a later one. A host may choose its ids, and an id may live on at another proxy after it
 * ended here: an end that is sent again must never end that later life.
 */
interface Life {
  /** Hash of the session. Every generation lists the session as the start named it, also after it moved the stream (H10). */
  readonly session: string
  /** Hash of the session and the engine; `''` where the engine is not known. */
  readonly place: string
  /** When the orchestrator started it last, by the orchestrator's clock, microseconds since the epoch; absent where it never said so. */
  readonly startedAtUs?: number | undefined
  /** Number of its starts that may still be applied: their outcome is unknown (H4). */
  readonly lateStarts: number
  /**
   * Number of the last attempt to end it again, so that one of several processes claims that attempt; of a journal entry, number of the
   * announcement, so that a process that settles the entry before does not strike out this one. Does not decide what is listed.
   */
  readonly attempt: number
}

/** What a process knows of a life. */
export interface LifeFacts {
  readonly event: Pick<StartEvent, 'session' | 'containerId'>
  readonly startedAtUs?: number | undefined
  readonly lateStarts: number
  /** Number of the announcement. @default 0 */
  readonly attempt?: number | undefined
}

const SEPARATOR = '.'
const RADIX = 36

/** The life of a stream as text of at most 64 characters, for the store. */
export function lifeOf({ event, startedAtUs, lateStarts, attempt = 0 }: LifeFacts): string {
  const { session, containerId } = event
  return encode({ ...identify({ ...session, containerId }), startedAtUs, lateStarts, attempt })
}

/** Whether the orchestrator lists this life, or a start of it that was applied late, and not a later life of the same id. */
export function isListed(life: string, listed: Stream): boolean {
  const ours = decode(life)
  const theirs = identify(listed)
  if (ours.session !== theirs.session) return false
  if (isStartedBy(ours, listed)) return true
  // Without a time the engine has to decide. A later start is ours only if one of ours may still have been applied.
  const mayBeOurs = ours.lateStarts > 0 || (ours.startedAtUs !== undefined && listed.startedAtUs === undefined)
  return mayBeOurs && (ours.place === '' || ours.place === theirs.place)
}

/** The life that is listed. Without a time it is known by the engine alone. */
export function lifeListed(listed: Stream): string {
  const { startedAtUs } = listed
  return encode({ ...identify(listed), startedAtUs, lateStarts: startedAtUs === undefined ? 1 : 0, attempt: 0 })
}

/** The life as it is once its listed start is ended too. A life that was not known, `''`, is known from then on. */
export function endedOnceMore(life: string, listed: Stream, attempt: number): string {
  const { startedAtUs } = listed
  if (life === '') return encode({ ...identify(listed), startedAtUs, lateStarts: 0, attempt })
  const ours = decode(life)
  if (isStartedBy(ours, listed)) return encode({ ...ours, attempt })
  return encode({ ...ours, startedAtUs: startedAtUs ?? ours.startedAtUs, lateStarts: Math.max(0, ours.lateStarts - 1), attempt })
}

/** Whether the listed start is no later than the last one known. Both times are the orchestrator's. */
function isStartedBy(ours: Life, { startedAtUs }: Stream): boolean {
  return ours.startedAtUs !== undefined && startedAtUs !== undefined && startedAtUs <= ours.startedAtUs
}

interface Identity {
  readonly playbackSessionId: string
  readonly statUrl: string
  readonly containerId?: string | undefined
}

function identify({ playbackSessionId, statUrl, containerId }: Identity): Pick<Life, 'session' | 'place'> {
  // 2025-10 lists a URL as its parser writes it.
  const url = URL.canParse(statUrl) ? new URL(statUrl).href : statUrl
  const session = hash([playbackSessionId, url])
  return { session, place: containerId === undefined ? '' : hash([playbackSessionId, url, containerId]) }
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

/** 53 bits of some texts, as text (cyrb53): enough where the ids are equal already, and synchronous on every platform. */
function hash(texts: readonly string[]): string {
  // As JSON, so that no two lists of texts are one.
  const text = JSON.stringify(texts)
  let low = 0xdeadbeef
  let high = 0x41c6ce57
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    low = Math.imul(low ^ code, 2_654_435_761)
    high = Math.imul(high ^ code, 1_597_334_677)
  }
  low = Math.imul(low ^ (low >>> 16), 2_246_822_507) ^ Math.imul(high ^ (high >>> 13), 3_266_489_909)
  high = Math.imul(high ^ (high >>> 16), 2_246_822_507) ^ Math.imul(low ^ (low >>> 13), 3_266_489_909)
  return (4_294_967_296 * (2_097_151 & high) + (low >>> 0)).toString(RADIX)
}
