import type { Engine } from '../model/engine.ts'
import type { EndableStream, EndResult, HostEngine, ListedPlace, Locate, StartEvent, StreamPlayback, StreamState } from '../model/stream.ts'
import { showAs } from '../runtime/platform.ts'
import type { KeepAlive } from '../runtime/timers.ts'
import { lifeOf } from './life.ts'
import type { Announcement, PhaseAfter, PhaseRecord, StreamPhase, StreamTransition } from './stream-phases.ts'
import { isOverIn, phaseAfter, STATES } from './stream-phases.ts'

/** The reason of the signal `over`. No caller sees it. One object for all streams: an error costs a stack trace. */
const OVER = 'the stream is over'

/** Ends streams for their handles. */
export interface StreamEnder {
  /** `cause`: aborts the `lost` signal of the stream before its playback is closed. */
  end(stream: TrackedStream, reason: unknown, cause?: unknown): Promise<EndResult>
  /** As `end`, but resolves as soon as the end is stalled. */
  dispose(stream: TrackedStream): Promise<void>
}

/**
 * One stream of this process: the state machine of its life, and the facts that are known of it. It decides nothing: the registry and the
 * deliveries call a method that is named after the event that happened.
 *
 * A method that does not fit the phase throws, in production too. A caller checks the phase in the same synchronous step, so this happens only
 * if the client has a defect. A method that decides whether an event is sent is called before the event is queued. A method that records an
 * outcome is called after the request. So a throw never drops a queued event.
 */
export class TrackedStream implements EndableStream {
  #life: PhaseRecord = { phase: 'starting', announcement: 'unsent' }
  #id: string
  #event: StartEvent
  #engine: HostEngine
  #locate: Locate | undefined
  #mustBeLocated = false
  #isHandedOut = false
  #isSlotReleased = false
  #startedAtUs: number | undefined
  #lateStarts = 0
  #announcements = 1
  #acceptedAt = 0
  #isEngineMissing = false
  #isEngineMissingInPushes = false
  #over: AbortController | undefined
  /** The result of the end of a stream that is closing or lost. */
  #end: Promise<EndResult> | undefined
  /** Resolves when the slot is released. Created on first use, as the signals are: most streams need none of them. */
  #free: PromiseWithResolvers<void> | undefined
  #released: Promise<void> | undefined
  #lost: AbortController | undefined
  readonly #ender: StreamEnder
  readonly #alive: KeepAlive

  /** Closed before the slot is released. `undefined`: the host closes it by itself. */
  readonly playback: StreamPlayback | undefined
  /** When the host started it, milliseconds by the client's clock. */
  readonly calledAt: number

  constructor(
    event: StartEvent,
    engine: HostEngine,
    ender: StreamEnder,
    alive: KeepAlive,
    playback?: StreamPlayback,
    calledAt: number = 0,
  ) {
    this.playback = playback
    this.calledAt = calledAt
    this.#event = event
    this.#engine = engine
    this.#id = event.streamId
    this.#ender = ender
    this.#alive = alive
  }

  /** The id by which the orchestrator knows it. */
  get id(): string {
    return this.#id
  }

  get engine(): HostEngine {
    return this.#engine
  }

  get state(): StreamState {
    return STATES[this.#life.phase]
  }

  get lost(): AbortSignal {
    this.#lost ??= new AbortController()
    return this.#lost.signal
  }

  end(reason?: string): Promise<EndResult> {
    return this.#alive.during(this.#ender.end(this, reason))
  }

  stop(reason: unknown, cause: unknown): Promise<EndResult> {
    return this.#alive.during(this.#ender.end(this, reason, cause))
  }

  /** Ends the stream when its block is left. After an explicit end it does nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#alive.during(this.#ender.dispose(this))
  }

  /** The body of its start, always with the address that the orchestrator lists (H7), unless {@link mustBeLocated}. */
  get event(): StartEvent {
    return this.#event
  }

  /** Distinguishes it from a later life of its id. */
  get life(): string {
    return lifeOf(this)
  }

  /** When the orchestrator last started it, by the orchestrator's clock, microseconds since the epoch. */
  get startedAtUs(): number | undefined {
    return this.#startedAtUs
  }

  /** Number of its starts with an unknown outcome: each may still be applied (H4). */
  get lateStarts(): number {
    return this.#lateStarts
  }

  /** How often its start was queued. */
  get announcementCount(): number {
    return this.#announcements
  }

  /** Lists requested before this sequence number cannot show that its engine is gone. */
  get acceptedAt(): number {
    return this.#acceptedAt
  }

  /** The phase of its life. */
  get phase(): StreamPhase {
    return this.#life.phase
  }

  /** Whether the orchestrator has it, or rejected its start. */
  get announcement(): Announcement | 'rejected' {
    return this.#life.announcement
  }

  /** Whether the orchestrator should have it: it is starting, unconfirmed or live. */
  get shouldBeListed(): boolean {
    return this.state === 'announcing' || this.state === 'live'
  }

  /** Whether it is over in this client, for any reason. */
  get isOver(): boolean {
    return isOverIn(this.#life.phase)
  }

  get over(): AbortSignal {
    this.#over ??= new AbortController()
    if (this.isOver) this.#over.abort(OVER)
    return this.#over.signal
  }

  /** The result of its end, if its playback is being closed or its engine was lost. */
  get endUnderWay(): Promise<EndResult> | undefined {
    const { phase } = this.#life
    return phase === 'closing' || phase === 'lost' ? this.#end : undefined
  }

  get free(): Promise<void> {
    if (this.#released !== undefined) return this.#released
    this.#free ??= Promise.withResolvers<void>()
    return this.#free.promise
  }

  /** Whether its host has the handle. If not, a rejected start rejects `startStream()`. */
  get isHandedOut(): boolean {
    return this.#isHandedOut
  }

  /** Whether its slot was released: it gets no slot any more. */
  get isSlotReleased(): boolean {
    return this.#isSlotReleased
  }

  /** Whether its start must wait until a list shows its engine: no list could be read when its host named the engine (H7). */
  get mustBeLocated(): boolean {
    return this.#mustBeLocated
  }

  // Transitions.

  /** Its start is queued again: the orchestrator has forgotten it, or never got it. */
  startedAgain(): void {
    this.#become({ phase: this.#next('startedAgain'), announcement: this.#known })
    this.#announcements += 1
  }

  /** The orchestrator accepted its start, or lists it. `sequence`: the current sequence number. */
  startAccepted(startedAtUs: number | undefined, sequence: number): void {
    this.#become({ phase: this.#next('startAccepted'), announcement: 'accepted' })
    this.#startedAtUs = startedAtUs ?? this.#startedAtUs
    // Without a time only the engine identifies its life.
    if (this.#startedAtUs === undefined) this.#lateStarts = Math.max(1, this.#lateStarts)
    this.#acceptedAt = sequence
  }

  /** It was accepted, and its slot is where the orchestrator put it. */
  confirmed(): void {
    this.#become({ phase: this.#next('confirmed'), announcement: 'accepted' })
  }

  /** Its start is not sent again for now. `maybeApplied`: an attempt may have been applied, or may be applied later. */
  startGivenUp(maybeApplied: boolean): void {
    const known = this.#known
    this.#become({ phase: this.#next('startGivenUp'), announcement: maybeApplied && known === 'unsent' ? 'maybe' : known })
  }

  /** Its start was rejected. `maybeApplied`: an earlier attempt may have been applied, or may be applied later (H4). */
  startRejected(maybeApplied: boolean): void {
    if (maybeApplied || this.#life.announcement === 'maybe') {
      this.#become({ phase: this.#next('startDisputed'), announcement: 'maybe' })
    } else {
      this.#become({ phase: this.#next('startRejected'), announcement: 'rejected' })
    }
  }

  /** It is over, and its playback is being closed. `end`: the result of the end that follows. */
  closeBegun(end: Promise<EndResult>): void {
    this.#become({ phase: this.#next('closeBegun'), announcement: this.#life.announcement })
    this.#end = end
  }

  /** It is over, and its end is queued. */
  endQueued(): void {
    this.#become({ phase: this.#next('endQueued'), announcement: this.#known })
  }

  /** It is over, and there is nothing to end. */
  discarded(): void {
    this.#become({ phase: this.#next('discarded'), announcement: 'rejected' })
  }

  /** It is over because its engine is gone. `end`: the result of the end that is sent for it. */
  engineLost(end: Promise<EndResult>): void {
    this.#become({ phase: this.#next('engineLost'), announcement: this.#known })
    this.#end = end
  }

  /** Its end was delivered or given up. A lost stream stays lost. */
  endSettled(): void {
    const phase = this.#next('endSettled')
    if (phase === 'ended') this.#become({ phase, announcement: this.#known })
  }

  /** Its slot is being released. `released`: resolves when the store has answered. */
  slotReleased(released: Promise<void>): void {
    this.#next('slotReleased')
    this.#isSlotReleased = true
    this.#released = released
    this.#free?.resolve(released)
  }

  // Facts that may become known in any phase.

  /** Its host has the handle. */
  handleGiven(): void {
    this.#isHandedOut = true
  }

  signalLost(cause: unknown): void {
    this.#lost ??= new AbortController()
    this.#lost.abort(cause)
  }

  /** A start of it was sent, and its outcome is unknown. */
  lateStartPossible(): void {
    this.#lateStarts += 1
  }

  /** It is listed: a start with an unknown outcome was applied, if there was one. */
  lateStartApplied(): void {
    this.#lateStarts = Math.max(0, this.#lateStarts - 1)
  }

  /** Its engine must be found in a list. `mustBeLocated`: its start must not be sent before. */
  locateBy(locate: Locate, { mustBeLocated }: { mustBeLocated: boolean }): void {
    this.#locate = locate
    this.#mustBeLocated = mustBeLocated
  }

  /** The place at which a list shows its engine. `undefined`: not listed, or found before. Throws the error of the host's `mapEngine`. */
  locate(engines: readonly Engine[]): ListedPlace | undefined {
    return this.#locate?.(engines)
  }

  /** Its engine was found in a list. Returns whether its container id was not known before. */
  located(place: Pick<ListedPlace, 'containerId'> & Partial<ListedPlace>): boolean {
    const isNew = this.#event.containerId !== place.containerId
    this.#locate = undefined
    this.#mustBeLocated = false
    this.#event = { ...this.#event, ...place }
    if (isNew) this.#engine = Object.freeze({ ...this.#engine, containerId: place.containerId })
    return isNew
  }

  /** Its engine is listed under this address now. */
  addressListed({ host, port }: Engine): void {
    this.#event = { ...this.#event, address: { host, port } }
  }

  /** The orchestrator has moved it. `engine`: as its host reaches it. */
  moved({ containerId, host, port }: Engine, engine: HostEngine): void {
    this.#event = { ...this.#event, containerId, address: { host, port } }
    this.#engine = Object.freeze(engine)
  }

  /** The orchestrator knows it by another id. */
  renamed(id: string): void {
    this.#id = id
  }

  /**
   * Records whether a list newer than the stream shows its engine. Returns whether the engine is newly missing. A requested list that
   * shows the engine does not reset the result of a pushed list without it: otherwise every push would start a reconciliation.
   */
  engineListed(isListed: boolean, { isPushed }: { isPushed: boolean }): boolean {
    const wasMissing = isPushed ? this.#isEngineMissing || this.#isEngineMissingInPushes : this.#isEngineMissing
    if (isPushed) this.#isEngineMissingInPushes = !isListed
    if (!isPushed || isListed) this.#isEngineMissing = !isListed
    return !isListed && !wasMissing
  }

  /** The announcement, in a phase in which the start is not rejected. */
  get #known(): Announcement {
    const { announcement } = this.#life
    return announcement === 'rejected' ? 'unsent' : announcement
  }

  /** @throws if the event cannot happen in this phase */
  #next<E extends StreamTransition>(event: E): PhaseAfter<E> {
    return phaseAfter(this.#life.phase, event, this.#id)
  }

  #become(life: PhaseRecord): void {
    this.#life = life
    if (this.isOver) this.#over?.abort(OVER)
  }
}

showAs(TrackedStream.prototype, 'StreamHandle', ({ id, engine, state }) => ({ id, engine, state }))
