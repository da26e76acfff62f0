import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from 'acestream-orchestrator-client'
import { type Fault, seededRandom } from 'acestream-orchestrator-client/testing'
import type { Bystander } from './bystander.ts'
import type { FakeWorld } from './fake-world.ts'
import type { ProxyProcess } from './proxy-process.ts'
import { RequestFaults } from './request-faults.ts'
import type { Screen } from './screen.ts'
import type { Viewer } from './viewer.ts'

const FAILS_FOR_MS = 6_000
/** Longer than the client waits for an answer. */
const STALL_MS = 3_500
const STALLS_FOR_MS = 4_000
const OUTAGE_MS = 20_000
const RESTART_MS = 1_500
/** The proxy, which leaves an orchestrator alone that kept failing, is to find out what a restart did before anything else happens. */
const AFTER_RESTART_MS = 9_000
/** Before something else happens; up to half as much again. */
const PAUSE_MS = 2_000

/**
 * What happens to single requests. None is applied after its sender gave it up: against that there is no remedy, since nobody could know
 * that it is still under way.
 */
const FAULTS: readonly Fault[] = [
  { kind: 'lost-answer' },
  { kind: 'lost-request' },
  { kind: 'reset' },
  { kind: 'reset-after' },
  { kind: 'status', status: 500 },
  { kind: 'truncated' },
]

/** What was done to the orchestrator, and thereby to the proxy. */
export interface Havoc {
  /** Requests that something was wrong with, by what it was. */
  hits: ReadonlyMap<string, number>
  /** Requests that were answered too late while it stalled. */
  stalled: number
  /** Requests of the proxy's that failed while connections were refused. */
  refused: number
  /** Streams that the orchestrator forgot when it was restarted. */
  forgotten: readonly string[]
}

interface Scene {
  world: FakeWorld
  bystander: Bystander
  proxy: ProxyProcess
  screen: Screen
  seed: number
  interrupt: AbortSignal
}

/** An orchestrator that fails in every way. Its seed decides what fails, and what comes first. */
export class Mischief {
  readonly #scene: Scene
  readonly #random: Random
  readonly #faults: RequestFaults
  #stalled = 0
  #refused = 0
  #forgotten: readonly string[] = []

  constructor(scene: Scene) {
    this.#scene = scene
    this.#random = seededRandom(scene.seed)
    // Of its own: how many requests come is not the seed's, and must not decide what comes next.
    this.#faults = new RequestFaults(FAULTS, seededRandom(scene.seed))
  }

  get havoc(): Havoc {
    return { hits: this.#faults.hits, stalled: this.#stalled, refused: this.#refused, forgotten: this.#forgotten }
  }

  /** Does it all, in an order that is the seed's. Single requests fail on until {@link stop}. */
  async run(viewers: readonly Viewer[]): Promise<void> {
    const calamities = [() => this.#refuse(), () => this.#restart(viewers)]
    if (this.#random() < 0.5) calamities.reverse()
    await this.#pause()
    this.#fail()
    await this.#wait(FAILS_FOR_MS)
    this.#scene.world.faults = undefined
    for (const calamity of [() => this.#stall(), ...calamities]) {
      await calamity()
      await this.#pause()
    }
    this.#fail()
    await this.#wait(FAILS_FOR_MS)
  }

  /** From now on the orchestrator is well. */
  stop(): void {
    this.#scene.world.faults = undefined
    this.#scene.screen.print('the orchestrator is well again')
  }

  #fail(): void {
    this.#scene.screen.print('two requests in five fail from now on')
    this.#scene.world.faults = this.#faults
  }

  async #stall(): Promise<void> {
    this.#scene.screen.print(`the orchestrator stalls for ${STALLS_FOR_MS / 1_000} s`)
    const stall = this.#scene.world.inject({ kind: 'delay', delayMs: STALL_MS, times: Number.POSITIVE_INFINITY })
    await this.#wait(STALLS_FOR_MS)
    stall.remove()
    this.#stalled = stall.hits
  }

  async #refuse(): Promise<void> {
    const { world, proxy, screen } = this.#scene
    screen.print(`the orchestrator refuses connections for ${OUTAGE_MS / 1_000} s`)
    const before = await proxy.metrics()
    await world.refuseWhile(() => this.#wait(OUTAGE_MS))
    this.#refused = (await proxy.metrics()).requests.failed - before.requests.failed
  }

  async #restart(viewers: readonly Viewer[]): Promise<void> {
    const { world, bystander, screen } = this.#scene
    screen.print('the orchestrator restarts, and replaces every engine')
    const { forgotten, elsewhere } = await world.restart(() => {
      for (const viewer of viewers) viewer.strike()
      return this.#wait(RESTART_MS)
    })
    this.#forgotten = forgotten
    await bystander.moveTo(elsewhere.engine, elsewhere.streamId)
    await this.#wait(AFTER_RESTART_MS)
  }

  #pause(): Promise<void> {
    return this.#wait(PAUSE_MS * (1 + this.#random() / 2))
  }

  #wait(ms: number): Promise<void> {
    return sleep(ms, undefined, { signal: this.#scene.interrupt })
  }
}
