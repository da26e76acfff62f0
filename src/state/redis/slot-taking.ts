import { StoreError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { CallerPlace, SlotCandidate, SlotRequest } from '../store.ts'
import { parseTakeAnswer, type TakeAnswer } from './fleet-usage.ts'
import { leaseSlot } from './local-slots.ts'
import type { Member } from './member.ts'

/** Dependencies and options of {@link SlotTaking}. */
export interface SlotTakingParts {
  member: Member
  clock: Clock
  /** For messages: `Redis at redis:6379`. */
  server: () => string
  slotTtlMs: number
  mayTakeWithoutRedis: boolean
}

/** Candidates in one script. */
const MAX_CANDIDATES = 64
/** The result of `takeSlot` during a hold. */
const ON_HOLD = -2
/** The result of `takeSlot` if the caller of another process called earlier. */
const TURN_OF_ANOTHER = -3

/**
 * How long a caller in the line does not ask again for the same candidates, milliseconds: the script offers it each slot that becomes free. It
 * asks again in case Redis has lost its place.
 */
const SAME_ANSWER_MS = 5_000

/** The questions of one caller that had no success. */
interface Answered {
  readonly since: number
  /** That of the line. */
  readonly changeCount: number
  readonly until: number
  readonly questions: Set<string>
}

/** Takes slots: asks Redis for the first candidate with room, or decides without Redis while it is unavailable, if the options allow that. */
export class SlotTaking {
  readonly #parts: SlotTakingParts
  /** Callers whose turn it was not. They have asked enough until they are woken: the client then asks with a new place. */
  readonly #refused = new WeakSet<CallerPlace>()
  #answered: Answered | undefined

  constructor(parts: SlotTakingParts) {
    this.#parts = parts
  }

  /** See `StateStore.take`. */
  async take(request: SlotRequest): Promise<string | undefined> {
    const { member, clock } = this.#parts
    const { usage, line } = member
    const { place } = request
    const candidates = Array.from(request.candidates, ({ containerId, reportedStreamIds }) => ({ containerId, reportedStreamIds }))
    const since = clock.now()
    if (place !== undefined && (this.#refused.has(place) || this.#isAnswered(place, candidates))) return undefined
    // A process that gets no messages gets no offers: it would delay the others.
    if (place?.isWaiting) line.entered(place.clientId ?? '', Math.min(place.since, place.nextSince ?? place.since))
    if (place !== undefined) usage.forgetExpired()
    // A caller without candidates learns which engines are full no longer, and keeps its place in the line.
    const chunks = candidates.length === 0 && place !== undefined ? [[]] : chunksOf(candidates, MAX_CANDIDATES)
    const isInLine = member.subscription.isReady
    const { changeCount } = line
    for (const asked of chunks) {
      let wasSent = false
      const onSent = (): void => {
        wasSent = true
      }
      let answer: TakeAnswer
      try {
        answer = parseTakeAnswer(await member.ask(['takeSlot', ...this.#slotArguments(request, asked)], { since, onSent }))
      } catch (error) {
        return this.#takeWithoutAnswer(request, candidates, wasSent ? asked : [], error)
      }
      const containerId = asked[answer.result]?.containerId
      const isAnyFreed = place !== undefined && usage.note(answer, asked, request.limit)
      if (containerId !== undefined) {
        member.slots.addGranted(request, containerId)
        if (place?.isWaiting) this.#noteServed(place)
        return containerId
      }
      if (answer.result === ON_HOLD) throw this.#holdError()
      if (place?.isWaiting && isInLine && answer.waitMs >= 0) this.#noteAnswered(place, candidates, changeCount)
      if (answer.result === TURN_OF_ANOTHER) {
        line.noteRefused(answer.waitMs)
        if (place !== undefined) this.#refused.add(place)
        return undefined
      }
      // The engine of the free slot is one that the caller does not ask for.
      if (asked.length === 0 && answer.freed.length > 0 && !isAnyFreed) void member.ask(['pass']).catch(() => {})
    }
    return undefined
  }

  #noteServed({ clientId = '', nextSince }: CallerPlace): void {
    const { line } = this.#parts.member
    if (nextSince === undefined) line.left(clientId)
    else line.entered(clientId, nextSince)
  }

  /** Whether this caller is in the line, and has asked for these candidates since it was woken last. */
  #isAnswered({ since }: CallerPlace, candidates: readonly SlotCandidate[]): boolean {
    const { member, clock } = this.#parts
    const answered = this.#answered
    const isCurrent = answered?.since === since && answered.changeCount === member.line.changeCount && clock.now() < answered.until
    return isCurrent && answered.questions.has(JSON.stringify(candidates))
  }

  #noteAnswered({ since }: CallerPlace, candidates: readonly SlotCandidate[], changeCount: number): void {
    const known = this.#answered
    const now = this.#parts.clock.now()
    const isCurrent = known?.since === since && known.changeCount === changeCount && now < known.until
    const answered = isCurrent ? known : { since, changeCount, until: now + SAME_ANSWER_MS, questions: new Set<string>() }
    answered.questions.add(JSON.stringify(candidates))
    this.#answered = answered
  }

  #holdError(): StoreError {
    const { server, slotTtlMs } = this.#parts
    const hold = `grants no slot for ${slotTtlMs} ms (slotTtlMs), in which every proxy reports the slots that it holds`
    return new StoreError(`${server()} was restarted, lost data or is new: it ${hold}`, { reason: 'unavailable' })
  }

  #slotArguments({ leaseId, limit, place, now }: SlotRequest, asked: readonly SlotCandidate[]): string[] {
    const { member, mayTakeWithoutRedis } = this.#parts
    const engines = asked.flatMap(({ containerId, reportedStreamIds: ids }) => [containerId, String(ids.length), ...ids])
    const age = (since: number | undefined): string => (since === undefined ? '' : String(Math.max(0, now - since)))
    // If several clients share the store, the callers of all of them have one place.
    const nextTimes = place && [place.nextSince, member.line.firstOfOthers(place.clientId ?? '')].filter((since) => since !== undefined)
    const nextSince = nextTimes && nextTimes.length > 0 ? Math.min(...nextTimes) : undefined
    const caller = [
      place && member.usage.freedCount,
      age(place?.since),
      place?.isWaiting && member.subscription.isReady ? 1 : 0,
      age(nextSince),
    ]
    const mustWait = mayTakeWithoutRedis ? '0' : '1'
    return [leaseSlot(leaseId), mustWait, String(limit), ...caller.map((text) => String(text ?? '')), String(asked.length), ...engines]
  }

  /** @param sent candidates of a script that Redis may have run: if the lease has a slot on one of them, that slot is released */
  #takeWithoutAnswer(
    request: SlotRequest,
    candidates: readonly SlotCandidate[],
    sent: readonly SlotCandidate[],
    error: unknown,
  ): string | undefined {
    const { member, mayTakeWithoutRedis } = this.#parts
    const { slots } = member
    const slot = leaseSlot(request.leaseId)
    const taken = mayTakeWithoutRedis ? slots.takeWithoutRedis(request, candidates) : undefined
    if (sent.length > 0) {
      const engines = sent.map(({ containerId }) => containerId)
      slots.addPossibleEngines(slot, engines)
    }
    if (sent.length > 0 || taken !== undefined) void member.reportSlots(slot)
    if (!mayTakeWithoutRedis) throw error
    return taken
  }
}

/** The items in lists of this length at most. */
export function chunksOf<Item>(items: readonly Item[], size: number): (readonly Item[])[] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) => items.slice(index * size, (index + 1) * size))
}
