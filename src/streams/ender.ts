import { MalformedResponseError, type OrchestratorError } from '../errors.ts'
import type { OrchestratorApi } from '../orchestrator/api.ts'
import type { EndAcknowledgement } from '../orchestrator/domain.ts'
import type { Logger } from '../runtime/logger.ts'
import { isPromiseLike } from '../runtime/maybe-promise.ts'
import type { EndedHere } from '../state/ended-here.ts'
import type { JournalEntry } from '../state/store.ts'
import type { Emitter } from '../telemetry/emitter.ts'
import type { Counters } from '../telemetry/metrics.ts'
import type { Courier } from './courier.ts'
import type { EndClaims } from './end-claims.ts'
import type { Journal } from './journal.ts'
import type { Underway } from './pending-events.ts'
import type { EndResult } from './stream.ts'
import type { Survey } from './survey.ts'
import type { TrackedStream } from './tracked-stream.ts'

/** What the ender is built from. */
export interface EnderParts {
  api: OrchestratorApi
  courier: Courier
  survey: Survey
  claims: EndClaims
  journal: Journal
  endedHere: EndedHere
  counters: Counters
  emitter: Emitter
  logger: Logger
  /** Aborts with the client. */
  lifetime: AbortSignal
}

/** Tells the orchestrator that a stream is over: once, fenced, and only if it may know of it. Never rejects. */
export class Ender {
  readonly #parts: EnderParts

  constructor(parts: EnderParts) {
    this.#parts = parts
  }

  /** The end of a stream of this process. */
  async end(stream: TrackedStream, underway: Underway, reason: string | undefined): Promise<EndResult> {
    const { claims, journal, endedHere } = this.#parts
    const { id, announcement } = stream
    const isLost = stream.state === 'lost'
    const over = (): void => {
      if (!isLost && announcement !== 'refused') stream.state = 'ended'
    }
    if (announcement === 'accepted' || announcement === 'maybe') return this.endById(id, underway, reason, over)
    endedHere.forget(id)
    if (announcement === 'unsent') await claims.claim(id)
    journal.settled(id)
    const result: EndResult = { outcome: 'not-announced', attempts: 0 }
    over()
    this.#tell(id, result, reason)
    return result
  }

  /** The end of whatever stream has this id. Calls `onOver` with the result before any listener. */
  async endById(
    streamId: string,
    underway: Underway,
    reason: string | undefined,
    onOver: (result: EndResult) => void = () => {},
  ): Promise<EndResult> {
    const { claims, journal, endedHere } = this.#parts
    if (!(await claims.claim(streamId))) {
      endedHere.acknowledge(streamId) // whoever claimed it told the orchestrator
      onOver({ outcome: 'duplicate', attempts: 0 })
      return this.duplicate(streamId)
    }
    const written = journal.over(streamId, reason)
    if (isPromiseLike(written)) await written
    const result = await this.#deliver(streamId, underway, reason)
    onOver(result)
    this.#tell(streamId, result, reason)
    return result
  }

  /**
   * The end of a stream whose process died. It may have told the end itself, so the orchestrator is looked at first. The claim makes sure that
   * a start which was still on its way then is ended too, whenever it is applied.
   */
  async inherit({ streamId, reason }: JournalEntry, underway: Underway, onOver: (result: EndResult) => void): Promise<EndResult> {
    await this.#parts.claims.claim(streamId)
    const result = await this.#deliver(streamId, underway, reason, true)
    onOver(result)
    if (result.attempts > 0) this.#tell(streamId, result, reason)
    return result
  }

  /**
   * The end of a stream that was ended here and is listed all the same: its start, or an attempt at it, was applied after its time was up.
   */
  async endAgain(streamId: string, underway: Underway): Promise<void> {
    const { claims } = this.#parts
    if (!(await claims.claimAgain(streamId))) return
    const { outcome } = await this.#deliver(streamId, underway, undefined)
    if (outcome !== 'undeliverable') await claims.claim(streamId)
    else await claims.unclaimAgain(streamId)
  }

  /** A further end of a stream that was ended before: nothing is sent. */
  duplicate(streamId: string): EndResult {
    this.#parts.counters.duplicatesPrevented += 1
    this.#parts.emitter.emit('stream:duplicate-end', { streamId })
    return { outcome: 'duplicate', attempts: 0 }
  }

  async #deliver(streamId: string, underway: Underway, reason: string | undefined, isLate = false): Promise<EndResult> {
    const { api, courier, claims, journal, survey, endedHere, lifetime } = this.#parts
    const event = reason === undefined ? { streamId } : { streamId, reason }
    const delivered = await courier.deliver<EndAcknowledgement>({
      pending: underway,
      isLate,
      alwaysLooks: false,
      attempt: () => api.endStream(event, { signal: lifetime }),
      look: async (since) => {
        const streams = await survey.streams(since)
        return streams.has(streamId) ? { kind: 'not-applied' } : { kind: 'applied', value: {} }
      },
    })
    const { attempts } = delivered
    if (delivered.kind === 'done') {
      claims.delivered(streamId)
      journal.settled(streamId)
      endedHere.acknowledge(streamId)
      return this.#delivered(streamId, delivered.value, attempts)
    }
    await claims.unclaim(streamId) // so that the host may try again
    if (delivered.kind === 'given-up') claims.gaveUp(streamId)
    else journal.settled(streamId)
    const error = 'error' in delivered ? delivered.error : new MalformedResponseError('An end cannot be abandoned')
    underway.fail()
    return this.#undeliverable(streamId, error, attempts)
  }

  #delivered(streamId: string, { applied, streamId: ended }: EndAcknowledgement, attempts: number): EndResult {
    const { counters } = this.#parts
    if (ended !== undefined && ended !== streamId) return this.#misapplied(streamId, ended, attempts)
    if (applied === false) return { outcome: 'unknown', attempts }
    if (attempts > 0) counters.ended += 1 // by us; a predecessor's attempt is not in our books
    return { outcome: 'delivered', attempts }
  }

  #undeliverable(streamId: string, error: OrchestratorError, attempts: number): EndResult {
    const { counters, emitter, logger } = this.#parts
    counters.undeliverable += 1
    logger.error('The end of a stream could not be delivered', { streamId, error })
    emitter.emit('delivery:failed', { streamId, event: 'ended', error })
    return { outcome: 'undeliverable', attempts, error }
  }

  /** The orchestrator ended somebody else's stream, in spite of the fence (hazard 1). */
  #misapplied(streamId: string, victim: string, attempts: number): EndResult {
    const { counters, emitter, logger } = this.#parts
    counters.misapplied += 1
    const error = new MalformedResponseError(`The orchestrator ended stream ${victim} where ${streamId} was meant`)
    logger.error(error.message, { streamId, victim })
    emitter.emit('delivery:failed', { streamId, event: 'ended', error })
    return { outcome: 'unknown', attempts, error }
  }

  #tell(streamId: string, { outcome }: EndResult, reason: string | undefined): void {
    this.#parts.emitter.emit('stream:ended', { streamId, outcome, ...(reason === undefined ? {} : { reason }) })
  }
}
