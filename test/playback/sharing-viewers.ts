import type { EngineLease, OpenStream, OrchestratorClient, StreamViewer } from 'acestream-orchestrator-client'
import type { Session } from './sharing-host.ts'
import { CLOSE_TIMEOUT_MS, OPEN_TIMEOUT_MS, type Viewer } from './sharing-plan.ts'
import { keyOf, type SharingWorld } from './sharing-world.ts'

/** One call of a viewer. */
interface Call {
  readonly name: string
  readonly viewer: Viewer
  /** In the order of all calls. */
  readonly number: number
  readonly since: number
  readonly signal: AbortSignal
  abortedAt: number | undefined
}

/** The viewers of a world. They judge what happens to their calls. */
export class SharingViewers {
  readonly leases: EngineLease[] = []
  /** Viewers that `joinStream` handed out, and how many of them were the first, by stream. */
  readonly watched = new Map<OpenStream<Session>, { viewers: number; firsts: number }>()
  readonly #world: SharingWorld
  #calls = 0
  /** The number of calls when an error was seen first. A later call may get the error of an opening that has failed a moment ago. */
  readonly #seenAt = new Map<unknown, number>()

  constructor(world: SharingWorld) {
    this.#world = world
  }

  get joinedCount(): number {
    let count = 0
    for (const { viewers } of this.watched.values()) count += viewers
    return count
  }

  async live(name: string, viewer: Viewer): Promise<void> {
    const world = this.#world
    await world.pause(viewer.arrivesAt)
    for (let left = viewer.retries; left >= 0; left -= 1) {
      const got = await this.#call(name, viewer)
      if (got === 'rejected') await world.pause(viewer.retryMs)
      else if ('release' in got) return this.#hold(got, viewer)
      else if (!(await this.#watch(got, viewer))) return
    }
  }

  async #call(name: string, viewer: Viewer): Promise<EngineLease | OpenStream<Session> | StreamViewer<Session> | 'rejected'> {
    const world = this.#world
    const { own } = world.clientOf(viewer)
    const leaving = new AbortController()
    const call: Call = {
      ...{ name: `${name} since ${world.sinceBegin}`, viewer, number: this.#calls++, since: world.clock.now(), signal: leaving.signal },
      abortedAt: undefined,
    }
    if (viewer.aborts !== undefined) {
      world.when(viewer.aborts, viewer.content, () => {
        if (!world.pending.has(call.name)) return
        call.abortedAt ??= world.clock.now()
        leaving.abort(`${name} left`)
      })
    }
    const isUndemanding = viewer.waitMs === 0 || viewer.provision || viewer.exclude !== undefined
    world.pending.add(call.name)
    world.undemandingCount += Number(isUndemanding)
    try {
      return await this.#send(own.client, viewer, leaving.signal)
    } catch (error) {
      this.#judge(call, error)
      return 'rejected'
    } finally {
      world.pending.delete(call.name)
      world.undemandingCount -= Number(isUndemanding)
      const elapsedMs = world.clock.now() - call.since
      // Each attempt may wait for `open`, for the close of an earlier stream and for the start.
      const mostMs = viewer.waitMs + viewer.engineAttempts * OPEN_TIMEOUT_MS + 3 * CLOSE_TIMEOUT_MS + (world.isCalm ? 2_000 : 25_000)
      if (elapsedMs > mostMs) world.report(`${call.name} took ${elapsedMs} ms, with waitMs ${viewer.waitMs}`)
    }
  }

  #send(
    client: OrchestratorClient,
    viewer: Viewer,
    signal: AbortSignal,
  ): Promise<EngineLease | OpenStream<Session> | StreamViewer<Session>> {
    const { host, fake, plan } = this.#world
    const { call, waitMs, provision, exclude, engineAttempts, variant, lingerMs } = viewer
    const owner = this.#world.ownerOf(viewer)
    const excluded = exclude === undefined ? undefined : fake.engines[exclude]?.containerId
    const options = { waitMs, provision, signal, ...(excluded === undefined ? {} : { exclude: [excluded] }) }
    if (call === 'acquire') return client.acquireEngine(options)
    const opening = {
      ...{ ...options, keyType: 'infohash' as const, key: keyOf(viewer), engineAttempts },
      ...{ openTimeoutMs: OPEN_TIMEOUT_MS, playbackCloseTimeoutMs: CLOSE_TIMEOUT_MS },
      ...(plan.hasOwnIds && owner.isShared ? { streamId: JSON.stringify(owner) } : {}),
      open: host.openFor(owner),
      close: (session: Session) => host.close(session),
    }
    return call === 'open' ? client.openStream(opening) : client.joinStream({ ...opening, variant, lingerMs })
  }

  async #hold(lease: EngineLease, { watchesMs }: Viewer): Promise<void> {
    const world = this.#world
    this.leases.push(lease)
    world.heldLeases += 1
    await world.pause(watchesMs)
    await lease.release().catch(() => {}) // the store may be away
    world.heldLeases -= 1
  }

  /** Returns whether its stream was lost, so that it asks again. */
  async #watch(got: OpenStream<Session> | StreamViewer<Session>, viewer: Viewer): Promise<boolean> {
    const shared = 'leave' in got ? got : undefined
    const stream = shared?.stream ?? (got as OpenStream<Session>)
    if (shared !== undefined) {
      const known = this.watched.get(stream) ?? { viewers: 0, firsts: 0 }
      this.watched.set(stream, known)
      known.viewers += 1
      known.firsts += Number(shared.isFirst)
    }
    const lost = new Promise<void>((resolve) => {
      if (stream.lost.aborted) resolve()
      else stream.lost.addEventListener('abort', () => resolve(), { once: true })
    })
    await Promise.race([this.#world.pause(viewer.watchesMs), lost])
    const wasLost = stream.lost.aborted
    // Not awaited: an end may take as long as an outage.
    if (!wasLost && !(shared !== undefined && viewer.goes === 'leave')) void this.#end(stream, viewer)
    await shared?.leave(viewer.goes)
    return wasLost
  }

  /** A stream on the fallback engine has no id that the client or the orchestrator knows. */
  async #end(stream: OpenStream<Session>, viewer: Viewer): Promise<void> {
    const { client } = this.#world.clientOf(viewer).own
    if (viewer.goes === 'fail') {
      if (stream.state !== 'ending' && stream.state !== 'ended') stream.playback.isBroken = true
      await stream.fail(new Error('the engine sent nothing'))
    } else if (viewer.goes === 'end by id' && stream.engine.containerId !== undefined) await client.streamEnded(stream.id)
    else if (viewer.goes === 'dispose') await stream[Symbol.asyncDispose]()
    else await stream.end('viewer left')
  }

  /** A call is rejected with the reason of its own signal, at once, or with an error of the host or of the library that fits. */
  #judge({ name, viewer, number, since, signal, abortedAt }: Call, error: unknown): void {
    const world = this.#world
    const now = world.clock.now()
    if (signal.aborted && error === signal.reason) {
      if (abortedAt !== undefined && now > abortedAt) world.report(`${name} was rejected ${now - abortedAt} ms after its abort`)
      return
    }
    if (world.host.errors.has(error)) return
    const { code, argument, reason } = (error ?? {}) as { code?: unknown; argument?: unknown; reason?: unknown }
    const isClosing = world.clientOf(viewer).own.isClosing
    const fits =
      error instanceof Error &&
      typeof code === 'string' &&
      (code !== 'CLIENT_CLOSED' || isClosing) &&
      (code !== 'INVALID_ARGUMENT' || argument === 'session.statUrl')
    if (!fits || error.message.includes('Defect')) world.report(`${name} was rejected with ${String(error)}`)
    const isOfEarlierCall = (this.#seenAt.get(error) ?? number + 1) <= number
    if (!this.#seenAt.has(error)) this.#seenAt.set(error, this.#calls)
    const isEarly = code === 'CAPACITY' && reason !== 'lease_expired' && now - since < viewer.waitMs
    if (world.isCalm && isEarly && !isOfEarlierCall)
      world.report(`${name} was rejected after ${now - since} of ${viewer.waitMs} ms: ${error}`)
  }
}
