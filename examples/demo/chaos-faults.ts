import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from 'acestream-orchestrator-client'
import { type Fault, seededRandom } from 'acestream-orchestrator-client/testing'
import type { FakeWorld } from './fake-world.ts'
import type { OtherStream } from './other-stream.ts'
import type { ProxyProcess } from './proxy-process.ts'
import { RequestFaults } from './request-faults.ts'
import type { Screen } from './screen.ts'
import type { Viewer } from './viewer.ts'

const FAILS_FOR_MS = 6_000
/** Longer than the client's request time-out. */
const STALL_MS = 3_500
const STALLS_FOR_MS = 4_000
const OUTAGE_MS = 20_000
const RESTART_MS = 1_500
/** Time for the proxy to detect the restart before the next failure. Its circuit breaker may still be open. */
const AFTER_RESTART_MS = 9_000
/** Minimum pause between two failures; up to 50 % longer. */
const PAUSE_MS = 2_000

/**
 * Faults for single requests. No request is applied after its sender has given up: no client could handle that, because nothing shows that
 * the request is still in flight.
 */
const FAULTS: readonly Fault[] = [
  { kind: 'lost-answer' },
  { kind: 'lost-request' },
  { kind: 'reset' },
  { kind: 'reset-after' },
  { kind: 'status', status: 500 },
  { kind: 'truncated' },
]

/** Counts of the failures so far. */
export interface ChaosFigures {
  /** Requests that a fault hit, by kind of fault. */
  hits: ReadonlyMap<string, number>
  /** Requests whose response came too late while the orchestrator stalled. */
  stalled: number
  /** Requests of the proxy that failed while connections were refused. */
  refused: number
  /** Streams that the orchestrator forgot at its restart. */
  forgotten: readonly string[]
}

interface ChaosParts {
  world: FakeWorld
  otherStream: OtherStream
  proxy: ProxyProcess
  screen: Screen
  seed: number
  interrupt: AbortSignal
}

/** Makes the orchestrator fail in many ways. The seed decides which requests fail, and the order of the failures. */
export class Chaos {
  readonly #parts: ChaosParts
  readonly #random: Random
  readonly #faults: RequestFaults
  #stalled = 0
  #refused = 0
  #forgotten: readonly string[] = []

  constructor(parts: ChaosParts) {
    this.#parts = parts
    this.#random = seededRandom(parts.seed)
    // A separate source: the number of requests varies between runs, and must not change the other random choices.
    this.#faults = new RequestFaults(FAULTS, seededRandom(parts.seed))
  }

  get figures(): ChaosFigures {
    return { hits: this.#faults.hits, stalled: this.#stalled, refused: this.#refused, forgotten: this.#forgotten }
  }

  /** Runs all failures, in an order that depends on the seed. Single requests keep failing until {@link stop}. */
  async run(viewers: readonly Viewer[]): Promise<void> {
    const failures = [() => this.#refuse(), () => this.#restart(viewers)]
    if (this.#random() < 0.5) failures.reverse()
    await this.#pause()
    this.#fail()
    await this.#wait(FAILS_FOR_MS)
    this.#parts.world.faults = undefined
    for (const failure of [() => this.#stall(), ...failures]) {
      await failure()
      await this.#pause()
    }
    this.#fail()
    await this.#wait(FAILS_FOR_MS)
  }

  /** Stops all failures. */
  stop(): void {
    this.#parts.world.faults = undefined
    this.#parts.screen.print('the orchestrator works normally from now on')
  }

  #fail(): void {
    this.#parts.screen.print('two requests in five fail from now on')
    this.#parts.world.faults = this.#faults
  }

  async #stall(): Promise<void> {
    this.#parts.screen.print(`the orchestrator stalls for ${STALLS_FOR_MS / 1_000} s`)
    const stall = this.#parts.world.inject({ kind: 'delay', delayMs: STALL_MS, times: Number.POSITIVE_INFINITY })
    await this.#wait(STALLS_FOR_MS)
    stall.remove()
    this.#stalled = stall.hits
  }

  async #refuse(): Promise<void> {
    const { world, proxy, screen } = this.#parts
    screen.print(`the orchestrator refuses connections for ${OUTAGE_MS / 1_000} s`)
    const before = await proxy.metrics()
    await world.refuseWhile(() => this.#wait(OUTAGE_MS))
    this.#refused = (await proxy.metrics()).requests.failed - before.requests.failed
  }

  async #restart(viewers: readonly Viewer[]): Promise<void> {
    const { world, otherStream, screen } = this.#parts
    screen.print('the orchestrator restarts, and replaces every engine')
    const { forgotten, elsewhere } = await world.restart(() => {
      for (const viewer of viewers) viewer.markEngineDead()
      return this.#wait(RESTART_MS)
    })
    this.#forgotten = forgotten
    await otherStream.moveTo(elsewhere.engine, elsewhere.streamId)
    await this.#wait(AFTER_RESTART_MS)
  }

  #pause(): Promise<void> {
    return this.#wait(PAUSE_MS * (1 + this.#random() / 2))
  }

  #wait(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#parts.interrupt })
  }
}
