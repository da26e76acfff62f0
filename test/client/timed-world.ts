import { type Clock, OrchestratorClient, type OrchestratorClientOptions, type Transport } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { SteadyClock } from '../../src/runtime/steady-clock.ts'
import { PushTransport } from '../support/push-transport.ts'
import { serverClock } from '../support/server-clock.ts'

/** A client, and an orchestrator on another machine whose clock is never set. */
export interface World {
  readonly clock: ManualClock
  readonly fake: FakeOrchestrator
  readonly wire: PushTransport
  readonly client: OrchestratorClient
  /** Records `what`, with the milliseconds since the beginning by the monotonic clock. */
  note(what: string): void
  /** Lets `ms` pass; the wall clock is set after a third of it. */
  pass(ms: number): Promise<void>
  /** As {@link pass}, and calls `action` at once and then every `everyMs`. */
  watch(ms: number, everyMs: number, action: () => unknown): Promise<void>
}

/** A state of a client that ends by itself after some time. */
export interface TimedState {
  readonly name: string
  readonly fake?: FakeOrchestratorOptions
  readonly client?: Partial<OrchestratorClientOptions>
  run(world: World): Promise<void>
  /** Notes that a run must contain, whether the wall clock is set or not. */
  readonly notes: readonly string[]
}

/** Runs a state, and moves the wall clock by `stepMs` meanwhile. Resolves to all notes. Every request is a note too. */
export async function notesOf(state: TimedState, stepMs: number, hasMonotonic: boolean): Promise<readonly string[]> {
  const clock = new ManualClock()
  const begunAt = clock.monotonic()
  const fake = new FakeOrchestrator({ random: seededRandom(1), ...state.fake, clock: serverClock(clock) })
  const wire = new PushTransport(fake, clock)
  const notes: string[] = []
  const note = (what: string): void => void notes.push(`${clock.monotonic() - begunAt} ${what}`)
  const transport: Transport = {
    request(request) {
      note(`${request.method} ${request.url.pathname.replace('/api/v1', '')}`)
      return wire.request(request)
    },
    stream: (request) => wire.stream(request),
  }
  const nowOnly: Clock = { now: () => clock.now(), setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs) }
  const hostClock = hasMonotonic ? clock : nowOnly
  const client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    apiKey: fake.apiKey,
    clock: hostClock,
    transport,
    random: seededRandom(2),
    healthIntervalMs: 0,
    reconcileIntervalMs: 0,
    sweepIntervalMs: 0,
    ...state.client,
  })
  const pass = async (ms: number): Promise<void> => {
    await clock.advance(Math.floor(ms / 3))
    // A clock with only now() loses the time between its last reading before a step and the next one. So read it at once.
    SteadyClock.of(hostClock).now()
    clock.stepWallClock(stepMs)
    SteadyClock.of(hostClock).now()
    await clock.advance(ms - Math.floor(ms / 3))
  }
  const watch = async (ms: number, everyMs: number, action: () => unknown): Promise<void> => {
    let isOver = false
    const tick = (): void => {
      if (isOver) return
      action()
      clock.setTimeout(tick, everyMs)
    }
    tick()
    await pass(ms)
    isOver = true
  }
  await state.run({ clock, fake, wire, client, note, pass, watch })
  const all = [...notes]
  fake.clearFaults()
  const closing = client.close({ timeoutMs: 100 })
  await clock.advance(100_000)
  await closing
  return all
}
