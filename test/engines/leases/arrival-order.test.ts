import { GENERATIONS, type ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { laterStore } from '../../support/later-store.ts'
import { during, setup } from '../../support/setup.ts'

/** A store that answers after 5 ms of the manual clock. The test sets `time.clock` once that clock exists. */
function remoteStore() {
  const time: { clock?: ManualClock } = {}
  const store = laterStore(() => new Promise((resolve) => time.clock?.setTimeout(() => resolve(undefined), 5)))
  return { store, time }
}

const outcome = (acquiring: Promise<unknown>): Promise<unknown> =>
  acquiring.then(
    () => 'served',
    (error: unknown) => (error as { reason?: unknown }).reason,
  )

describe.each(GENERATIONS)('first come, first served, on %s', (generation) => {
  /** The cached list is old and shows that all engines are full. A refresh takes 600 ms and shows that all are free. */
  async function oldFullList(engines: number) {
    const world = setup({ generation, engines }, { watch: false })
    const { client, clock, fake } = world
    const ids = fake.engines.map(({ containerId }) => fake.startElsewhere({ containerId }))
    await during(clock, client.listEngines())
    await clock.advance(3_000)
    for (const id of ids) fake.endElsewhere(id)
    fake.latencyMs = 600
    return world
  }

  it('a caller with waitMs 0 gets the only slot that a refresh shows; a later caller that waits does not', async () => {
    const { client, clock } = await oldFullList(1)
    const first = outcome(client.acquireEngine({ waitMs: 0, provision: false }))
    const second = outcome(client.acquireEngine({ waitMs: 2_000, provision: false }))
    await clock.advance(5_000)
    expect(await Promise.all([first, second])).toEqual(['served', 'full'])
  })

  it('a caller with waitMs 0 that comes after a waiting caller is served from the refresh, not rejected because of the old list', async () => {
    const { client, clock } = await oldFullList(2)
    const first = outcome(client.acquireEngine({ provision: false }))
    await clock.advance(350)
    const second = outcome(client.acquireEngine({ waitMs: 0, provision: false }))
    await clock.advance(5_000)
    expect(await Promise.all([first, second])).toEqual(['served', 'served'])
  })

  it('a caller with waitMs 0 that comes after a waiting caller is rejected as soon as the refresh fails', async () => {
    const { client, clock, fake } = await oldFullList(2)
    fake.inject({ kind: 'status', status: 503, times: Number.POSITIVE_INFINITY })
    void outcome(client.acquireEngine({ provision: false, waitMs: 60_000 }))
    await clock.advance(350)
    let second: unknown
    void outcome(client.acquireEngine({ waitMs: 0, provision: false })).then((found) => (second = found))
    await clock.advance(200)
    expect(second).toBeUndefined()
    await clock.advance(5_000)
    expect(second).toBe('unreachable')
  })

  it('the earlier of two callers gets a slot that is freed between their reads of a store that answers after 5 ms', async () => {
    const { store, time } = remoteStore()
    const { client, clock } = setup({ generation, engines: 1 }, { store, leaseTtlMs: 3_600_000 })
    time.clock = clock
    const held = await during(clock, client.acquireEngine(), 1)
    const served: string[] = []
    const call = (name: string): void =>
      void client.acquireEngine({ provision: false, waitMs: 20_000 }).then(
        () => served.push(name),
        () => {},
      )
    call('first')
    await clock.advance(1)
    void held.release()
    await clock.advance(1)
    call('second')
    for (let passed = 0; passed < 100; passed += 1) await clock.advance(1)
    expect(served).toEqual(['first'])
  })
})

describe('callers of acquireEngine() with a store that answers after 5 ms', () => {
  it('are served in order of arrival in 40 random schedules of calls, aborts and releases', async () => {
    const step = fc.record({ act: fc.constantFrom('call', 'call', 'release', 'abort'), afterMs: fc.integer({ min: 0, max: 7 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 4, maxLength: 14 }), fc.integer(), async (steps, seed) => {
        const { store, time } = remoteStore()
        const { client, clock } = setup({ engines: 2, random: seededRandom(seed) }, { store, leaseTtlMs: 3_600_000, watch: false })
        time.clock = clock
        const held = [await during(clock, client.acquireEngine(), 1), await during(clock, client.acquireEngine(), 1)]
        const aborts: AbortController[] = []
        const served: number[] = []
        for (const { act, afterMs } of steps) {
          if (act === 'release') void held.shift()?.release()
          else if (act === 'abort') aborts.at(-1)?.abort('left')
          else {
            const name = aborts.length
            const abort = new AbortController()
            aborts.push(abort)
            client.acquireEngine({ provision: false, waitMs: 60_000, signal: abort.signal }).then(
              (lease) => {
                served.push(name)
                held.push(lease)
              },
              () => {},
            )
          }
          for (let passed = 0; passed < afterMs; passed += 1) await clock.advance(1)
        }
        for (let passed = 0; passed < 200; passed += 5) {
          void held.shift()?.release()
          for (let tick = 0; tick < 5; tick += 1) await clock.advance(1)
        }
        const notAborted = aborts.flatMap(({ signal }, name) => (signal.aborted ? [] : [name]))
        expect(served).toEqual([...served].sort((a, b) => a - b))
        expect(notAborted.filter((name) => !served.includes(name))).toEqual([])
      }),
      { seed: 14, numRuns: 40 },
    )
  })
})
