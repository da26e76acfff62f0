import {
  ContentError,
  type Engine,
  type JoinStreamOptions,
  type OpenContext,
  type OpenedPlayback,
  RequestTimeoutError,
} from 'acestream-orchestrator-client'
import type { ManualClock } from 'acestream-orchestrator-client/testing'
import { sessionOf } from '../support/engines-host.ts'
import { CLOSE_TIMEOUT_MS, type Manner, type Point } from './sharing-plan.ts'

/** What one client plays of one content, in one form. Sessions of `joinStream` with the same owner must not overlap. */
export interface Owner {
  readonly client: number
  readonly content: number
  readonly variant: string | undefined
  /** Whether `joinStream` opened it. */
  readonly isShared: boolean
}

/** One call of `open`, and the session that it returned. */
export interface Session {
  readonly name: string
  readonly owner: Owner
  readonly containerId: string
  readonly signal: AbortSignal
  state: 'opening' | 'failed' | 'open' | 'closing' | 'closed'
  abortedAt: number | undefined
  closeCalledAt: number | undefined
  closeCalls: number
  /** Whether its stream failed or was lost: its viewers may open the content anew while it is closed. */
  isBroken: boolean
}

/** Parameters of {@link SharingHost}. */
export interface SharingHostParts {
  clock: ManualClock
  opens: readonly Manner[]
  closes: readonly Manner[]
  /** Whether the client of an owner has closed: nothing is held for its sessions then. */
  isClosed: (client: number) => boolean
  at: (point: Point, owner: Owner) => void
  report: (problem: string) => void
}

/** A host's `open` and `close`, which check at each call what the host may rely on. */
export class SharingHost {
  readonly sessions: Session[] = []
  /** All errors that it threw. */
  readonly errors = new Set<unknown>()
  readonly #parts: SharingHostParts
  #opens = 0
  #closes = 0

  constructor(parts: SharingHostParts) {
    this.#parts = parts
  }

  /** The `open` of an owner. */
  openFor(owner: Owner): JoinStreamOptions<Session>['open'] {
    return (engine, context) => this.#open(owner, engine, context)
  }

  #open(owner: Owner, engine: Engine, { signal: given }: OpenContext): Promise<OpenedPlayback<Session>> {
    const { clock, opens, at } = this.#parts
    const signal = given as AbortSignal
    this.#expectAlone(owner)
    const number = this.#opens++
    const { delayMs, how } = opens[number % opens.length] as Manner
    const session: Session = {
      name: `s${number}`,
      owner,
      containerId: engine.containerId,
      signal,
      state: 'opening',
      abortedAt: signal.aborted ? clock.now() : undefined,
      closeCalledAt: undefined,
      closeCalls: 0,
      isBroken: false,
    }
    signal.addEventListener('abort', () => {
      session.abortedAt = clock.now()
    })
    this.sessions.push(session)
    at('open called', owner)
    if (how === 'throws') this.#fail(session, new Error('open threw'))
    return this.#answer(session, { delayMs, how })
  }

  async #answer(session: Session, { delayMs, how }: Manner): Promise<OpenedPlayback<Session>> {
    const { clock, at } = this.#parts
    if (delayMs > 0) await new Promise<void>((resolve) => void clock.setTimeout(resolve, delayMs))
    if (how === 'never') await new Promise<never>(() => {})
    if (how === 'unreachable') this.#fail(session, Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))
    if (how === 'fails') this.#fail(session, new Error('HTTP 500'))
    if (how === 'no content') this.#fail(session, new ContentError('no such content'))
    session.state = 'open'
    at('opened', session.owner)
    const answer = sessionOf(session.name)
    return { session: how === 'wrong session' ? { ...answer, statUrl: '' } : answer, playback: session }
  }

  close(session: Session): Promise<void> {
    const { clock, closes, at, report } = this.#parts
    session.closeCalls += 1
    if (session.closeCalls > 1) report(`close was called ${session.closeCalls} times for session ${session.name}`)
    session.state = 'closing'
    session.closeCalledAt = clock.now()
    const { delayMs, how } = closes[this.#closes++ % closes.length] as Manner
    at('close called', session.owner)
    const settle = (): void => {
      session.state = 'closed'
      at('closed', session.owner)
    }
    if (how === 'throws') {
      settle()
      throw new Error('close threw')
    }
    return this.#close(settle, delayMs, how)
  }

  async #close(settle: () => void, delayMs: number, how: Manner['how']): Promise<void> {
    if (delayMs > 0) await new Promise<void>((resolve) => void this.#parts.clock.setTimeout(resolve, delayMs))
    if (how === 'never') await new Promise<never>(() => {})
    settle()
    if (how === 'fails') throw new Error('close failed')
  }

  /** The sessions for which a slot must be held on their engine. */
  *held(): Generator<Session> {
    for (const session of this.sessions) if (!this.#isOver(session)) yield session
  }

  /** The session of a stream. */
  find(streamId: string): Session | undefined {
    if (streamId.startsWith('{')) return this.sessions.findLast(({ owner }) => JSON.stringify(owner) === streamId)
    const name = streamId.slice(streamId.lastIndexOf('|') + 1)
    return this.sessions.find((session) => session.name === name)
  }

  /** Whether nothing waits for it any longer. */
  #isOver({ owner, state, abortedAt, closeCalledAt }: Session): boolean {
    const now = this.#parts.clock.now()
    const isTimeUp = (since: number | undefined): boolean => since !== undefined && now >= since + CLOSE_TIMEOUT_MS
    if (state === 'failed' || state === 'closed' || this.#parts.isClosed(owner.client)) return true
    return isTimeUp(closeCalledAt) || isTimeUp(abortedAt)
  }

  /** An owner of `joinStream` has at most one session, except for those that are broken, and those that opened too late. */
  #expectAlone(owner: Owner): void {
    if (!owner.isShared) return
    for (const session of this.held()) {
      const { name, state, signal, isBroken } = session
      if (session.owner !== owner || isBroken || signal.reason instanceof RequestTimeoutError) continue
      this.#parts.report(`content ${owner.content} is opened while its session ${name} is ${state}`)
    }
  }

  #fail(session: Session, error: Error): never {
    session.state = 'failed'
    this.errors.add(error)
    throw error
  }
}
