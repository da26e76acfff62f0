import { CapacityError, type EngineLease, OrchestratorClient, type TransportResponse } from 'acestream-orchestrator-client'
import { ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { expect, it } from 'vitest'

const VIEWERS = 1_000
const RUNS = 1_000
const FOREVER_MS = 86_400_000
const headers = new Headers()

/** An orchestrator that only lists its engines: fast enough for a million viewers. */
class Lister {
  readonly ids: string[] = []
  #body = '[]'

  add(): void {
    this.ids.push(`engine-${this.ids.length}`)
    this.#body = JSON.stringify(
      this.ids.map((container_id, index) => ({
        container_id,
        host: 'gluetun',
        port: 19_000 + index,
        streams: [],
        health_status: 'healthy',
      })),
    )
  }

  request(): Promise<TransportResponse> {
    return Promise.resolve({ status: 200, headers, body: this.#body })
  }
}

/** One event of a run. `count`: how many viewers arrive, release their engine, or abort. */
interface Step {
  kind: 'arrive' | 'free' | 'abort' | 'engine' | 'pass'
  count: number
}

const step = fc.record<Step>({
  kind: fc.constantFrom('arrive', 'arrive', 'free', 'free', 'abort', 'engine', 'pass'),
  count: fc.integer({ min: 1, max: 120 }),
})

const plan = fc.record({
  engines: fc.integer({ min: 1, max: 4 }),
  limit: fc.integer({ min: 1, max: 12 }),
  seed: fc.integer({ min: 1, max: 1_000_000 }),
  /** One viewer in this many may abort. */
  leavers: fc.integer({ min: 2, max: 7 }),
  steps: fc.array(step, { minLength: 1, maxLength: 40 }),
})

/** Viewers who request an engine one after the other. Some of them abort. */
class Crowd {
  readonly held: EngineLease[] = []
  readonly served: number[] = []
  readonly loads = new Map<string, number>()
  readonly #client: OrchestratorClient
  readonly #limit: number
  readonly #leavers: number
  readonly #aborts = new Map<number, AbortController>()
  arrived = 0
  left = 0

  constructor(client: OrchestratorClient, limit: number, leavers: number) {
    this.#client = client
    this.#limit = limit
    this.#leavers = leavers
  }

  arrive(count: number): void {
    for (let n = 0; n < count && this.arrived < VIEWERS; n += 1) {
      const index = this.arrived++
      const abort = index % this.#leavers === 0 ? new AbortController() : undefined
      if (abort !== undefined) this.#aborts.set(index, abort)
      const signal = abort?.signal
      this.#client.acquireEngine({ provision: false, waitMs: FOREVER_MS, ...(signal && { signal }) }).then(
        (lease) => this.#serve(index, lease),
        () => {
          this.left += 1
        },
      )
    }
  }

  /** Aborts `count` random viewers of those that may abort, whether they still wait or have an engine. */
  abort(count: number, random: () => number): void {
    const indices = [...this.#aborts.keys()]
    for (let n = 0; n < count && indices.length > 0; n += 1) {
      const [index = 0] = indices.splice(Math.floor(random() * indices.length), 1)
      this.#aborts.get(index)?.abort()
      this.#aborts.delete(index)
    }
  }

  free(count: number): void {
    for (const lease of this.held.splice(0, count)) {
      const { containerId } = lease.engine
      this.loads.set(containerId, (this.loads.get(containerId) ?? 0) - 1)
      void lease.release()
    }
  }

  #serve(index: number, lease: EngineLease): void {
    const { containerId } = lease.engine
    const load = (this.loads.get(containerId) ?? 0) + 1
    if (load > this.#limit) throw new Error(`${containerId} has ${load} of ${this.#limit}`)
    this.loads.set(containerId, load)
    this.served.push(index)
    this.held.push(lease)
  }
}

it('[I1] [I6] 1,000 viewers get engines in order of arrival, with random releases, aborts and new engines; no slot leaks', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async ({ engines, limit, seed, leavers, steps }) => {
      const clock = new ManualClock()
      const random = seededRandom(seed)
      const lister = new Lister()
      for (let n = 0; n < engines; n += 1) lister.add()
      const client = new OrchestratorClient({
        baseUrl: 'http://orchestrator.test',
        dialect: 'unversioned',
        transport: lister,
        clock,
        random,
        maxStreamsPerEngine: limit,
        leaseTtlMs: FOREVER_MS,
        healthIntervalMs: 0,
        sweepIntervalMs: 0,
      })
      await client.listEngines()
      const crowd = new Crowd(client, limit, leavers)
      // Fill all engines, so that all later viewers have to wait.
      crowd.arrive(engines * limit)
      for (const { kind, count } of steps) {
        if (kind === 'arrive') crowd.arrive(count)
        else if (kind === 'free') crowd.free(count)
        else if (kind === 'abort') crowd.abort(count, random)
        else if (kind === 'engine') lister.add()
        // In half of the cases the next step comes before this one has an effect.
        if (kind === 'pass') await clock.advance(2_000)
        else if (random() < 0.5) await new Promise(setImmediate)
      }
      crowd.arrive(VIEWERS)
      await new Promise(setImmediate)
      while (crowd.held.length > 0) {
        crowd.free(VIEWERS)
        await new Promise(setImmediate)
      }
      expect(crowd.arrived).toBe(VIEWERS)
      expect(crowd.served.length + crowd.left).toBe(VIEWERS)
      expect(crowd.served.every((index, place) => place === 0 || index > (crowd.served[place - 1] ?? 0))).toBe(true)
      expect(client.metrics().leases).toMatchObject({ active: 0, waiting: 0 })
      // Every slot can be taken again, and not one more.
      await client.listEngines({ fresh: true })
      const again = Array.from({ length: lister.ids.length * limit }, () => client.acquireEngine({ waitMs: 0 }))
      await Promise.all(again)
      await expect(client.acquireEngine({ waitMs: 0 })).rejects.toBeInstanceOf(CapacityError)
      await client.close({ timeoutMs: 0 })
      expect(clock.pendingCount).toBe(0)
    }),
    { seed: 20_251_014, numRuns: RUNS },
  )
})
