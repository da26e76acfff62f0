import { MalformedResponseError, type OrchestratorError } from '../../errors.ts'
import type { EndResult, Stream } from '../../model/stream.ts'
import type { OrchestratorApi } from '../../orchestrator/api.ts'
import type { EndAcknowledgement } from '../../orchestrator/bodies.ts'
import type { Logger } from '../../runtime/logger.ts'
import { isPromiseLike } from '../../runtime/maybe-promise.ts'
import type { Outages } from '../../runtime/outages.ts'
import type { Sequence } from '../../runtime/sequence.ts'
import type { JournalEntry } from '../../state/store.ts'
import type { Emitter } from '../../telemetry/events.ts'
import type { Counters } from '../../telemetry/metrics.ts'
import type { EndedLedger } from '../ended-ledger.ts'
import type { Journal } from '../journal.ts'
import { isListed, lifeListed } from '../life.ts'
import type { TrackedStream } from '../tracked-stream.ts'
import type { Delivery } from './delivery.ts'
import { logEventFailure, logEventSuccess } from './delivery-log.ts'
import type { Observer } from './observation.ts'
import type { OutboxEvent } from './outbox.ts'

/** Dependencies of {@link EndDelivery}. */
export interface EndDeliveryParts {
  api: OrchestratorApi
  delivery: Delivery
  observer: Observer
  endedLedger: EndedLedger
  journal: Journal
  sequence: Sequence
  counters: Counters
  emitter: Emitter
  logger: Logger
  outages: Outages
  /** Aborts with the client. */
  lifetime: AbortSignal
  /** Called when an end was applied and a start of the same stream may still be applied later (H4). */
  onLateStart: () => void
}

const END_FAILED = 'The end of a stream could not be delivered; it is sent again while the stream is listed'

/** An end to send. */
interface End {
  readonly streamId: string
  readonly reason: string | undefined
  /** The life to end. `''`: any stream with this id. */
  readonly life: string
  /** Whether to verify before the first attempt. @default false */
  readonly isLate?: boolean
  /** Whether its failure was reported before. @default false */
  readonly isAgain?: boolean
}

/** Options of {@link EndDelivery.end}. */
export interface EndOptions {
  readonly reason: string | undefined
  /** The life whose end is in the journal already. @default none */
  readonly recordedLife?: string | undefined
}

/** Options of {@link EndDelivery.endById}. */
interface EndByIdOptions extends EndOptions {
  /** The life to end. @default '' (any stream with this id) */
  readonly life?: string
  /** Called with the result before any listener. */
  readonly onSettled?: (result: EndResult) => void
}

/**
 * Ends streams: sends `stream_ended` once for each life of an id, fenced, and only if the orchestrator may have the stream. An end that
 * fails is sent again until it is applied or its time is up. No method rejects.
 */
export class EndDelivery {
  readonly #parts: EndDeliveryParts

  constructor(parts: EndDeliveryParts) {
    this.#parts = parts
  }

  /** Ends a stream of this process. */
  end(stream: TrackedStream, outboxEvent: OutboxEvent, { reason, recordedLife }: EndOptions): Promise<EndResult> {
    const { id, life, announcement } = stream
    const onSettled = ({ outcome }: EndResult): void => {
      if (stream.lateStarts > 0 && (outcome === 'unknown' || outcome === 'delivered')) this.#parts.onLateStart()
      if (announcement !== 'rejected') stream.endSettled()
    }
    const options = { reason, recordedLife, life, onSettled }
    const mayBeKnown = announcement === 'accepted' || announcement === 'maybe'
    return mayBeKnown ? this.endById(id, outboxEvent, options) : this.#endUnsent(id, announcement === 'unsent', outboxEvent, options)
  }

  /** Ends a stream that the orchestrator does not know: there is nothing to send. */
  async #endUnsent(
    streamId: string,
    mustClaim: boolean,
    outboxEvent: OutboxEvent,
    { reason, life, onSettled }: Required<EndByIdOptions>,
  ): Promise<EndResult> {
    const { endedLedger, journal } = this.#parts
    endedLedger.markNotOver(streamId)
    if (mustClaim) await endedLedger.claim(streamId, '')
    journal.remove(streamId, life)
    outboxEvent.settle()
    const result: EndResult = { outcome: 'not-announced', attempts: 0 }
    onSettled(result)
    this.#emitEnded(streamId, result, reason)
    return result
  }

  /** Ends the stream with this id, of this process or of another. */
  async endById(streamId: string, outboxEvent: OutboxEvent, options: EndByIdOptions): Promise<EndResult> {
    const { reason, life = '', recordedLife, onSettled = () => {} } = options
    const { endedLedger, journal } = this.#parts
    const isRecorded = recordedLife !== undefined && recordedLife === life
    const claimed = endedLedger.claim(streamId, life, isRecorded ? undefined : journal.endEntry(streamId, reason, life))
    if (!(isPromiseLike(claimed) ? await claimed : claimed)) {
      endedLedger.delegated(streamId, life)
      outboxEvent.settle()
      onSettled({ outcome: 'duplicate', attempts: 0 })
      return this.duplicate(streamId)
    }
    const result = await this.#deliver({ streamId, reason, life }, outboxEvent)
    onSettled(result)
    this.#emitEnded(streamId, result, reason)
    return result
  }

  /**
   * Ends a stream whose process died. That process may have sent the end itself, so verify first. The claim stays: if a start that the process
   * had in flight is applied later, it is ended too.
   */
  async recover(
    { streamId, reason, life = '' }: JournalEntry,
    outboxEvent: OutboxEvent,
    onSettled: (result: EndResult) => void,
  ): Promise<EndResult> {
    await this.#parts.endedLedger.claim(streamId, life)
    const result = await this.#deliver({ streamId, reason, life, isLate: true }, outboxEvent)
    onSettled(result)
    if (result.attempts > 0) this.#emitEnded(streamId, result, reason)
    return result
  }

  /** Ends a stream again that was ended and is listed: its end was not applied, or a start of it was applied later. */
  async endAgain(listed: Stream, outboxEvent: OutboxEvent): Promise<void> {
    const { endedLedger } = this.#parts
    const isAgain = endedLedger.isUnapplied(listed.id)
    const life = await endedLedger.claimAgain(listed)
    if (life !== undefined) await this.#deliver({ streamId: listed.id, reason: undefined, life, isAgain }, outboxEvent)
  }

  /** Reports a further end of a stream that was ended before. Sends nothing. */
  duplicate(streamId: string): EndResult {
    this.#parts.counters.duplicatesPrevented += 1
    this.#parts.emitter.to('stream:duplicate-end')?.({ streamId })
    return { outcome: 'duplicate', attempts: 0 }
  }

  async #deliver(
    { streamId, reason, life: requestedLife, isLate = false, isAgain = false }: End,
    outboxEvent: OutboxEvent,
  ): Promise<EndResult> {
    const { api, delivery, endedLedger, journal, observer, sequence, lifetime } = this.#parts
    const calledAt = sequence.current
    let life = requestedLife
    const event = reason === undefined ? { streamId } : { streamId, reason }
    // While an end is stalled, another proxy may start the id anew. The fence names only the id, so verify before the end is sent.
    const isKnown = life !== ''
    const delivered = await delivery.deliver<EndAcknowledgement>({
      outboxEvent,
      isDelayed: isLate || outboxEvent.isStalled,
      verifiesWhenDelayed: isKnown || isLate,
      send: (attempt) => api.endStream(event, { signal: lifetime, attempt }),
      verify: async (since, maybeApplied) => {
        const streams = await observer.readStreams(since)
        const listed = streams.live.get(streamId)
        if (listed === undefined) {
          // If no end was sent yet, send one: a start of the stream may still be in flight. If an unreadable entry may be this stream, send
          // the end again: it is fenced, and ends no other stream.
          const mustSend = (!maybeApplied && !isLate) || streams.mayHide(streamId, undefined)
          return mustSend ? { kind: 'not-applied' } : { kind: 'applied', value: {} }
        }
        if (life === '' && isLate) {
          // The listed life is the best evidence of the life that the dead process wanted to end. From now on only this life is ended.
          life = lifeListed(listed)
          await journal.recordEnd(streamId, reason, life)
        }
        // A later life of the id is another stream.
        return life === '' || isListed(life, listed) ? { kind: 'not-applied' } : { kind: 'applied', value: {} }
      },
    })
    const { attempts } = delivered
    if (delivered.kind === 'done') {
      logEventSuccess(this.#parts.outages, 'ended')
      endedLedger.delivered(streamId, life)
      outboxEvent.settle()
      return this.#delivered(streamId, delivered.value, attempts)
    }
    outboxEvent.settle()
    await endedLedger.gaveUp(streamId, life)
    if (life === '') {
      const identified = this.#identify(streamId, reason, calledAt)
      // After a rejection the orchestrator answers, so the host waits for this check. During an outage the host does not wait.
      if (delivered.kind === 'rejected') await identified
    }
    outboxEvent.fail()
    return this.#undeliverable(streamId, delivered.error, attempts, isAgain)
  }

  /**
   * Finds out which stream an end by id was meant for. If the list cannot be read, the next reconciliation finds out.
   *
   * @param calledAt sequence number at which the end was requested
   */
  async #identify(streamId: string, reason: string | undefined, calledAt: number): Promise<void> {
    const { observer, endedLedger, lifetime } = this.#parts
    if (lifetime.aborted) return
    try {
      await endedLedger.identify(streamId, await observer.readStreams(calledAt), reason)
    } catch {
      // The end stays unapplied without a life.
    }
  }

  #delivered(streamId: string, { applied, streamId: ended }: EndAcknowledgement, attempts: number): EndResult {
    const { counters } = this.#parts
    if (ended !== undefined && ended !== streamId) return this.#misapplied(streamId, ended, attempts)
    if (applied === false) return { outcome: 'unknown', attempts }
    if (attempts > 0) counters.ended += 1 // without an attempt, an earlier process has ended it
    return { outcome: 'delivered', attempts }
  }

  #undeliverable(streamId: string, error: OrchestratorError, attempts: number, isAgain: boolean): EndResult {
    const { counters, emitter, outages } = this.#parts
    if (isAgain) {
      logEventFailure(outages, 'ended', END_FAILED, { streamId, error })
      return { outcome: 'undeliverable', attempts, error }
    }
    counters.undeliverable += 1
    logEventFailure(outages, 'ended', END_FAILED, { streamId, error })
    emitter.to('delivery:failed')?.({ streamId, event: 'ended', error })
    return { outcome: 'undeliverable', attempts, error }
  }

  /** Reports that the orchestrator ended another stream, in spite of the fence (H1). */
  #misapplied(streamId: string, victim: string, attempts: number): EndResult {
    const { counters, emitter, logger } = this.#parts
    counters.misapplied += 1
    const error = new MalformedResponseError(`The orchestrator ended stream ${victim} instead of stream ${streamId}`)
    logger.error(error.message, { streamId, victim })
    emitter.to('delivery:failed')?.({ streamId, event: 'ended', error })
    return { outcome: 'unknown', attempts, error }
  }

  #emitEnded(streamId: string, { outcome }: EndResult, reason: string | undefined): void {
    this.#parts.emitter.to('stream:ended')?.({ streamId, outcome, ...(reason === undefined ? {} : { reason }) })
  }
}
