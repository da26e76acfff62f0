import type { WaitingCall } from '../engines/leases/acquire-request.ts'
import type { Allocator } from '../engines/leases/allocator.ts'
import type { EngineLease } from '../model/lease.ts'
import { onAbort } from '../runtime/abort.ts'
import { type Clock, type Timer, waitOneTurn } from '../runtime/clock.ts'
import type { LeaseRequest, Patience } from './opener.ts'

/** What a caller of `joinStream` accepts while the stream opens. */
export interface CallerTerms {
  readonly signal: AbortSignal | undefined
  /** How long it waits for engines, milliseconds. */
  readonly waitMs: number
  /** Whether a new engine may be requested for it. */
  readonly mayProvision: boolean
  /** See `JoinStreamOptions`. */
  readonly lingerMs: number
}

/** A caller that waits until the stream is open. */
interface Caller<Viewer> extends Pick<CallerTerms, 'mayProvision' | 'lingerMs'> {
  /** How long it still waits for engines, milliseconds, as of `waitsSince` if that is set. */
  leftMs: number
  /** Since when it waits for an engine, milliseconds. `undefined`: it waits for the host's `open` or for the start. */
  waitsSince: number | undefined
  /** How long it has waited for engines before `waitsSince`, milliseconds. */
  waitedMs: number
  timer: Timer | undefined
  /** Lets it leave, and then serves it. */
  serve(makeViewer: () => Viewer): void
  reject(error: unknown): void
}

/** Dependencies of {@link Opening}. */
export interface OpeningParts {
  allocator: Allocator
  clock: Clock
  /** How long a caller that does not wait for an engine waits for the engine list, milliseconds. */
  listWaitMs: number
  /** Called when nobody waits any more, after {@link Opening.signal} has aborted. */
  onDeserted: () => void
}

/** What the allocator was asked for. */
interface Asked {
  readonly untilMs: number
  readonly mayProvision: boolean
}

/**
 * The callers that share one stream while it opens. The waiting for an engine is as patient as its most patient caller, and each caller leaves when
 * its own time is up or its signal aborts. When the last one has left, the opening is aborted.
 */
export class Opening<Viewer> implements Patience {
  readonly #parts: OpeningParts
  readonly #abort = new AbortController()
  /** In order of arrival. */
  readonly #callers = new Set<Caller<Viewer>>()
  readonly #leftBehind: Promise<void>[] = []
  /** The most that a caller accepted so far. */
  #patience = { waitMs: 0, mayProvision: false }
  /** The error of the last acquire that failed. */
  #refusal: unknown
  #hasFailed = false
  /** The terms of the acquire that is under way. */
  #asked: Asked | undefined
  /** The engines that the acquire must not get. */
  #exclude: ReadonlySet<string> = new Set()
  /** The acquire, once it waits in the queue. */
  #waitingCall: WaitingCall | undefined

  constructor(parts: OpeningParts) {
    this.#parts = parts
  }

  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** The longest `waitMs` of all callers, and whether a new engine was allowed by any. */
  get patience(): Readonly<Pick<CallerTerms, 'waitMs' | 'mayProvision'>> {
    return this.#patience
  }

  /** Whether this is the error because of which no engine could be acquired. */
  isRefusal(error: unknown): boolean {
    return error !== undefined && error === this.#refusal
  }

  /** Resolves when the cleaning up is over. */
  async cleanedUp(): Promise<void> {
    await Promise.all(this.#leftBehind)
  }

  leaveBehind(work: Promise<void>): void {
    this.#leftBehind.push(work)
  }

  /** Adds a caller. Rejects when its time is up, when its signal aborts, or with the error of the opening. */
  join({ signal, waitMs, mayProvision, lingerMs }: CallerTerms): Promise<Viewer> {
    const { promise, resolve, reject } = Promise.withResolvers<Viewer>()
    const leave = (): boolean => {
      stopListening?.()
      caller.timer?.cancel()
      const isPresent = this.#callers.delete(caller)
      if (isPresent && mayProvision) this.#stopProvisioning()
      return isPresent
    }
    const caller: Caller<Viewer> = {
      mayProvision,
      lingerMs,
      leftMs: waitMs,
      waitsSince: undefined,
      waitedMs: 0,
      timer: undefined,
      serve: (makeViewer) => {
        if (leave()) resolve(makeViewer())
      },
      reject: (error) => {
        if (!leave()) return
        reject(error)
        if (this.#callers.size === 0) this.#desert(error)
      },
    }
    const stopListening = signal && onAbort(signal, () => caller.reject(signal.reason))
    this.#callers.add(caller)
    const { patience } = this
    this.#patience = { waitMs: Math.max(patience.waitMs, waitMs), mayProvision: patience.mayProvision || mayProvision }
    if (this.#asked !== undefined) {
      caller.waitsSince = this.#parts.clock.now()
      this.#extendFor([caller])
    }
    return promise
  }

  /** Acquires a lease, for as long as the most patient caller waits. */
  async acquire(request: LeaseRequest): Promise<EngineLease> {
    const { allocator, clock } = this.#parts
    for (;;) {
      const now = clock.now()
      for (const caller of this.#callers) caller.waitsSince = now
      const asked = this.#terms(now)
      this.#asked = asked
      this.#exclude = request.exclude
      this.#armTimers(now)
      try {
        return await allocator.acquire({
          ...request,
          signal: this.signal,
          waitMs: asked.untilMs - now,
          mayProvision: asked.mayProvision,
          onWaiting: (call) => {
            this.#waitingCall = call
            this.#extendFor([...this.#callers])
            this.#stopProvisioning()
          },
        })
      } catch (error) {
        this.#refusal = error
        if (!this.#hasMorePatience()) {
          this.#hasFailed = true
          throw error
        }
        this.#rejectImpatient(error)
        if (this.signal.aborted) throw error
      } finally {
        this.#stopWaiting()
      }
    }
  }

  /** Serves all callers that are left, in order of arrival. A listener may abort one of them meanwhile. */
  serveAll(viewerFor: (lingerMs: number, isFirst: boolean) => Viewer): void {
    let isFirst = true
    for (const caller of [...this.#callers]) {
      caller.serve(() => {
        const viewer = viewerFor(caller.lingerMs, isFirst)
        isFirst = false
        return viewer
      })
    }
  }

  /** Whether no engine could be acquired. A caller that comes now needs another opening. */
  get hasFailed(): boolean {
    return this.#hasFailed
  }

  /** The number of callers that are left. */
  get size(): number {
    return this.#callers.size
  }

  /** Rejects all callers that are left: the opening has failed, or the client closes. */
  rejectAll(error: unknown): void {
    for (const caller of [...this.#callers]) caller.reject(error)
  }

  #desert(reason: unknown): void {
    if (this.signal.aborted) return
    this.#abort.abort(reason)
    this.#parts.onDeserted()
  }

  /** What the callers accept together. */
  #terms(now: number): Asked {
    const callers = [...this.#callers]
    const waiting = callers.filter(({ leftMs }) => leftMs > 0)
    return {
      untilMs: callers.reduce((latestMs, caller) => Math.max(latestMs, deadlineOf(caller, now)), now),
      // A caller that does not wait allows no engine for the callers that wait.
      mayProvision: (waiting.length > 0 ? waiting : callers).some((caller) => caller.mayProvision),
    }
  }

  /** Makes the acquire that waits as patient as these callers, and keeps it as patient as those before them. */
  #extendFor(callers: readonly Caller<Viewer>[]): void {
    const call = this.#waitingCall
    // It was served or rejected a moment ago. Its result is for these callers too.
    if (call !== undefined && !call.isWaiting()) return
    const now = this.#parts.clock.now()
    for (const caller of callers) {
      const asked = this.#asked
      if (call === undefined || asked === undefined || caller.leftMs === 0) continue
      const untilMs = deadlineOf(caller, now)
      this.#asked = { untilMs: Math.max(asked.untilMs, untilMs), mayProvision: asked.mayProvision || caller.mayProvision }
      // One by one: a refusal to start an engine ends the acquire only if all callers allow to request one.
      call.extend({ untilMs, mayProvision: caller.mayProvision })
    }
    this.#armTimers(now)
  }

  /** Requests no engine any more if the callers that are left allow none. */
  #stopProvisioning(): void {
    const asked = this.#asked
    const call = this.#waitingCall
    if (asked === undefined || call === undefined || this.#callers.size === 0) return
    for (const caller of this.#callers) if (caller.mayProvision && caller.leftMs > 0) return
    this.#asked = { ...asked, mayProvision: false }
    call.forbidEngines()
  }

  /** Lets each caller leave when its own time is up. The callers that are as patient as the acquire leave with it. */
  #armTimers(now: number): void {
    const { clock, listWaitMs } = this.#parts
    const call = this.#waitingCall
    const untilMs = this.#asked?.untilMs ?? now
    for (const caller of this.#callers) {
      // Its deadline does not change while it waits. But without `waitMs`, it leaves as soon as the list shows no free engine.
      if (caller.timer !== undefined && (caller.leftMs > 0 || call === undefined)) continue
      const deadlineMs = deadlineOf(caller, now)
      if (deadlineMs >= untilMs) continue
      caller.timer?.cancel()
      const leave = (): void => caller.reject(this.#errorFor(caller))
      if (caller.leftMs === 0 && call?.refreshed !== undefined) void this.#leaveAfterRefresh(call, call.refreshed, leave)
      const waitsForList = caller.leftMs === 0 && (call === undefined || call.refreshed !== undefined)
      const leftMs = waitsForList ? listWaitMs : deadlineMs - now
      if (leftMs <= 0) leave()
      else caller.timer = clock.setTimeout(leave, leftMs)
    }
  }

  /** An old list never proves that there is no room: a caller that does not wait leaves only after the refresh. */
  async #leaveAfterRefresh(call: WaitingCall, refreshed: () => Promise<void>, leave: () => void): Promise<void> {
    await refreshed()
    await waitOneTurn() // a caller that was served moves on
    if (this.#waitingCall === call) leave()
  }

  /** The error of a caller whose own time is up. */
  #errorFor({ mayProvision, waitedMs, waitsSince }: Caller<Viewer>): Error {
    const { allocator, clock } = this.#parts
    const elapsedMs = waitsSince === undefined ? 0 : clock.now() - waitsSince
    const call = this.#waitingCall
    if (call !== undefined) return call.errorAfter(waitedMs + elapsedMs)
    return allocator.errorFor({ mayProvision, exclude: this.#exclude }, waitedMs + elapsedMs)
  }

  /** Whether a caller joined that is more patient than the acquire that has just failed. */
  #hasMorePatience(): boolean {
    return [...this.#callers].some((caller) => this.#isMorePatient(caller))
  }

  /** Rejects the callers that were no more patient than the acquire that has failed. */
  #rejectImpatient(error: unknown): void {
    for (const caller of [...this.#callers]) if (!this.#isMorePatient(caller)) caller.reject(error)
  }

  /** Compares deadlines only: the time itself may have passed the deadline of the acquire, because timers are late. */
  #isMorePatient(caller: Caller<Viewer>): boolean {
    const asked = this.#asked
    if (asked === undefined) return false
    const isLater = deadlineOf(caller, this.#parts.clock.now()) > asked.untilMs
    return isLater || (caller.mayProvision && !asked.mayProvision && caller.leftMs > 0)
  }

  #stopWaiting(): void {
    const now = this.#parts.clock.now()
    this.#asked = undefined
    this.#waitingCall = undefined
    for (const caller of this.#callers) {
      caller.timer?.cancel()
      caller.timer = undefined
      const elapsedMs = now - (caller.waitsSince ?? now)
      caller.leftMs = Math.max(0, caller.leftMs - elapsedMs)
      caller.waitedMs += elapsedMs
      caller.waitsSince = undefined
    }
  }
}

/** When a caller's time is up, milliseconds. */
const deadlineOf = (caller: Pick<Caller<unknown>, 'leftMs' | 'waitsSince'>, now: number): number =>
  (caller.waitsSince ?? now) + caller.leftMs
