import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import type { AcquireRequest, WaitingCall } from '../../../src/engines/leases/acquire-request.ts'
import { allocatorOf, requestOf } from '../../support/inner-parts.ts'
import { laterStore } from '../../support/later-store.ts'
import { during, failureOf, setup } from '../../support/setup.ts'

const PROVISION = 'POST /provision/acestream'

/** One engine, whose only slot is taken. `call` makes a call that waits, unless `changes` say otherwise. */
async function fullWorld(...[fakeOptions, clientOptions]: Parameters<typeof setup>) {
  const world = setup({ engines: 1, ...fakeOptions }, { leaseTtlMs: 3_600_000, ...clientOptions })
  const { client, clock, fake } = world
  const held = await during(clock, client.acquireEngine(), 1)
  const allocator = await allocatorOf(client)
  const call = async (changes: Partial<AcquireRequest> = {}) => {
    const since = clock.now()
    const calls: WaitingCall[] = []
    const lease = allocator.acquire(requestOf({ mayProvision: false, onWaiting: (waiting) => calls.push(waiting), ...changes }))
    const outcome = lease.then(
      () => ['served', clock.now() - since],
      (error: { reason?: string; code: string }) => [error.reason ?? error.code, clock.now() - since],
    )
    await clock.settle()
    const [waiting] = calls
    const extend = (untilMs: number, mayProvision = false) => waiting?.extend({ untilMs: since + untilMs, mayProvision })
    return { lease, outcome, calls, extend, errorAfter: (waitedMs: number) => waiting?.errorAfter(waitedMs) }
  }
  const requests = () => fake.counters.requests.byRoute[PROVISION] ?? 0
  return { ...world, held, allocator, call, requests }
}

describe('a call that several callers share', () => {
  it.each([undefined, laterStore()])('begins to wait once, when no engine has room (store %#)', async (store) => {
    const { clock, held, call } = await fullWorld({}, store === undefined ? {} : { store })
    const waiting = await call()
    expect(waiting.calls).toHaveLength(1)
    await clock.advance(5_000)
    await during(clock, held.release(), 1)
    await during(clock, waiting.lease, 1)
    expect(waiting.calls).toHaveLength(1)
  })

  it('begins to wait with waitMs 0 only behind another caller, and not if an engine has room or it was aborted before', async () => {
    const { clock, held, call } = await fullWorld()
    await clock.advance(5_000) // the list is old now
    const withoutWait = await call({ waitMs: 0 })
    await call({ waitMs: 1 })
    const behindAnother = await call({ waitMs: 0 })
    await clock.advance(1)
    const aborted = await call({ signal: AbortSignal.abort('left') })
    await held.release()
    const served = await call()
    expect([withoutWait, behindAnother, aborted, served].map(({ calls }) => calls.length)).toEqual([0, 1, 0, 0])
    expect(await Promise.all([withoutWait.outcome, served.outcome])).toEqual([
      ['full', 0],
      ['served', 0],
    ])
  })

  it.each([undefined, laterStore(3)])('waits on if a caller with time left joins it in its last round (store %#)', async (store) => {
    const { clock, call } = await fullWorld({}, store === undefined ? {} : { store })
    await call({ waitMs: 600_000 })
    for (const turns of [0, 1, 2]) {
      const untilMs = clock.now() + 5_000
      const extend = async (waiting: WaitingCall): Promise<void> => {
        for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate)
        waiting.extend({ untilMs, mayProvision: false })
      }
      const { outcome } = await call({ waitMs: 0, onWaiting: (waiting) => void extend(waiting) })
      // The last round of a store that answers at once is over after one turn.
      const isTooLate = store === undefined && turns > 0
      expect([turns, ...(await during(clock, outcome, 500))]).toEqual([turns, 'full', isTooLate ? 0 : 5_000])
    }
  })

  it('waits until the latest of their deadlines, whatever the order in which they join', async () => {
    const { clock, call } = await fullWorld()
    const { lease, outcome, extend } = await call({ waitMs: 2_000 })
    extend(9_000)
    extend(5_000)
    extend(1_000)
    await clock.advance(20_000)
    expect(await outcome).toEqual(['full', 9_000])
    expect(await failureOf(lease)).toMatchObject({ position: 1, waitedMs: 9_000 })
  })

  it('is made more patient a moment before its time is up, and does not end at its old deadline', async () => {
    const { client, clock, call } = await fullWorld()
    const { outcome, extend } = await call({ waitMs: 2_000 })
    await clock.advance(1_999)
    extend(4_000)
    await clock.advance(2_000)
    expect(client.metrics().leases.waiting).toBe(1)
    await clock.advance(1)
    expect(await outcome).toEqual(['full', 4_000])
  })

  it('keeps its place in the queue when it becomes more patient', async () => {
    const { clock, held, call } = await fullWorld()
    const first = await call({ waitMs: 2_000 })
    const second = await call()
    first.extend(30_000)
    await clock.advance(3_000)
    await held.release()
    await clock.advance(30_000)
    expect([await first.outcome, await second.outcome]).toEqual([
      ['served', 3_000],
      ['full', 30_000],
    ])
  })

  it('has its own position when its time and that of another call are up at the same moment', async () => {
    const { clock, call } = await fullWorld()
    const first = await call({ waitMs: 9_000 })
    const second = await call({ waitMs: 2_000 })
    second.extend(9_000)
    await clock.advance(9_000)
    expect([await failureOf(first.lease), await failureOf(second.lease)]).toMatchObject([{ position: 1 }, { position: 2 }])
  })

  it('is over: what a caller adds afterwards changes nothing', async () => {
    const { client, clock, allocator, call } = await fullWorld()
    const { outcome, extend, errorAfter } = await call({ waitMs: 2_000 })
    await clock.advance(2_000)
    const pending = clock.pendingCount
    extend(60_000, true)
    expect([clock.pendingCount, allocator.provisioningCount, client.metrics().leases.waiting]).toEqual([pending, 0, 0])
    expect(errorAfter(2_000)).toMatchObject({ code: 'CAPACITY' })
    expect(await outcome).toEqual(['full', 2_000])
  })

  it('gives a caller whose own time is up an error with its own time and the place of the call, and waits on', async () => {
    const { client, clock, call } = await fullWorld()
    await call()
    const { lease, errorAfter } = await call()
    await clock.advance(1_500)
    expect(errorAfter(1_200)).toMatchObject({ code: 'CAPACITY', reason: 'full', position: 2, waitedMs: 1_200 })
    expect(client.metrics().leases.waiting).toBe(2)
    const closing = client.close()
    expect(await failureOf(lease)).toMatchObject({ code: 'CLIENT_CLOSED' })
    await closing
  })
})

describe.each(GENERATIONS)('a shared call on %s', (generation) => {
  it('requests an engine at once when a caller joins that allows it, and only one', async () => {
    const { clock, allocator, call, requests } = await fullWorld({ generation, provisionDelayMs: 2_000 }, { watch: false })
    const { outcome, extend } = await call()
    await clock.advance(5_000)
    expect([allocator.provisioningCount, requests()]).toEqual([0, 0])
    extend(20_000, true)
    extend(25_000, true)
    extend(26_000, false)
    await clock.settle()
    expect([allocator.provisioningCount, requests()]).toEqual([1, 1])
    await clock.advance(1_000)
    expect([allocator.provisioningCount, requests()]).toEqual([1, 1])
    await clock.advance(30_000)
    expect(allocator.provisioningCount).toBe(0)
    // 2026-04 starts no engine on request.
    expect(await outcome).toEqual(generation === '2026-04' ? ['full', 30_000] : ['served', expect.any(Number)])
  })
})

describe('a refusal to start an engine', () => {
  async function refusedWorld() {
    const world = await fullWorld()
    world.fake.setProvisioning({ refuse: 'vpn_disconnected' })
    return world
  }

  it('rejects a shared call if all of its callers allow to request an engine', async () => {
    const { clock, call } = await refusedWorld()
    const { outcome, extend } = await call({ mayProvision: true })
    extend(20_000, true)
    await clock.advance(60_000)
    expect(await outcome).toEqual(['vpn_disconnected', 2_000])
  })

  it.each([true, false])(
    'does not reject a shared call if one of its callers only waits for a slot (the other joins later: %s)',
    async (isLater) => {
      const { clock, held, call } = await refusedWorld()
      const { outcome, extend } = await call({ mayProvision: !isLater })
      extend(20_000, isLater)
      await clock.advance(10_000)
      await held.release()
      await clock.settle()
      expect(await outcome).toEqual(['served', 10_000])
    },
  )

  it('no longer rejects a call when a caller joins that waits longer than the orchestrator advises', async () => {
    const { clock, call, fake } = await refusedWorld()
    const { outcome, extend } = await call({ mayProvision: true })
    await clock.advance(1_000)
    extend(120_000, true)
    await clock.advance(30_000)
    fake.setProvisioning({ refuse: undefined })
    await clock.advance(60_000)
    expect((await outcome)[0]).toBe('served')
  })
})
