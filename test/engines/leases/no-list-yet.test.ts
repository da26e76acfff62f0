import { describe, expect, it } from 'vitest'
import { during, failureOf, setup } from '../../support/setup.ts'

const always = { times: Number.POSITIVE_INFINITY } as const
const circuitBreaker = { failureThreshold: 1, resetAfterMs: 10_000 } as const

/** A client that has read no list, with its circuit open for 9,700 ms more. */
async function openCircuit() {
  const world = setup({ engines: 1 }, { circuitBreaker, dialect: 'unversioned', retry: { attempts: 1 } })
  const fault = world.fake.inject({ kind: 'refused', ...always })
  await failureOf(world.client.listEngines())
  await world.clock.advance(300)
  return { ...world, fault }
}

describe('a caller that comes while the circuit is open and no list was ever read', () => {
  it('is served as soon as the circuit closes', async () => {
    const { client, clock, fault } = await openCircuit()
    const before = clock.now()
    const acquiring = client.acquireEngine({ waitMs: 10_000 })
    fault.remove()
    expect((await during(clock, acquiring)).engine.containerId).not.toBe('')
    expect(clock.now() - before).toBe(9_700)
  })

  it('is served at once when another call closes the circuit', async () => {
    const { client, clock, fault } = await openCircuit()
    await clock.advance(9_000)
    const acquiring = client.acquireEngine({ waitMs: 10_000, provision: false })
    fault.remove()
    await clock.advance(700)
    const before = clock.now()
    await client.listStreams()
    await acquiring
    expect(clock.now()).toBe(before)
  })

  it('is rejected after its waitMs, and retryAfterMs is the rest of the time for which the circuit is open', async () => {
    const { client, clock } = await openCircuit()
    const before = clock.now()
    const error = await during(clock, failureOf(client.acquireEngine({ waitMs: 4_000 })))
    expect(clock.now() - before).toBe(4_000)
    expect(error).toMatchObject({ code: 'CIRCUIT_OPEN', retryAfterMs: 5_700 })
  })

  it('is rejected at once with waitMs 0', async () => {
    const { client, clock } = await openCircuit()
    const before = clock.now()
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ code: 'CIRCUIT_OPEN' })
    expect(clock.now()).toBe(before)
  })

  it('is served in order of arrival', async () => {
    const { client, clock, fake, fault } = await openCircuit()
    fake.addEngine()
    const served: number[] = []
    for (const name of [1, 2, 3]) {
      client.acquireEngine({ waitMs: 30_000, provision: false }).then(
        () => served.push(name),
        () => {},
      )
      await clock.advance(100)
    }
    fault.remove()
    await clock.advance(12_000)
    expect(served).toEqual([1, 2])
  })
})

describe('a caller that comes while the list cannot be read', () => {
  it.each([
    ['the connection is refused', { kind: 'refused' }],
    ['the answer has status 500', { kind: 'status', status: 500 }],
    ['the answer is HTML', { kind: 'status', status: 200, body: '<html>' }],
  ] as const)('waits, and is served from the first list that arrives within its waitMs (%s)', async (_, fault) => {
    const { client, clock, fake } = setup({ engines: 1 }, { circuitBreaker: false, dialect: 'unversioned', retry: { attempts: 1 } })
    const injected = fake.inject({ ...fault, ...always })
    const acquiring = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(20_000)
    injected.remove()
    expect((await during(clock, acquiring)).engine.containerId).not.toBe('')
    expect(client.metrics().leases.waiting).toBe(0)
  })

  it('is served within 2 s after the orchestrator is back, though cacheTtlMs is ten minutes', async () => {
    const options = { circuitBreaker: false, cacheTtlMs: 600_000, dialect: 'unversioned', retry: { attempts: 1 } } as const
    const { client, clock, fake } = setup({ engines: 1 }, options)
    const fault = fake.inject({ kind: 'refused', ...always })
    const acquiring = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(10_500)
    fault.remove()
    await clock.advance(2_000)
    expect((await acquiring).engine.containerId).not.toBe('')
  })

  it('is rejected at once when the API key is wrong: waiting does not help', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'status', status: 401, ...always })
    const before = clock.now()
    expect(await failureOf(client.acquireEngine())).toMatchObject({ code: 'AUTHENTICATION' })
    expect(clock.now()).toBe(before)
  })

  it('[I7] leaves no timer after its abort, and no request is sent for it any more', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { circuitBreaker, dialect: 'unversioned', sweepIntervalMs: 0 })
    fake.inject({ kind: 'refused', ...always })
    const abort = new AbortController()
    const left = failureOf(client.acquireEngine({ signal: abort.signal, waitMs: 600_000 }))
    await clock.advance(25_000)
    abort.abort('left')
    expect(await left).toBe('left')
    await clock.advance(10_000)
    const { total } = fake.counters.requests
    await clock.advance(60_000)
    expect([fake.counters.requests.total, clock.pendingCount]).toEqual([total, 0])
  })

  it('is not rejected because of an older refusal to start an engine: without a list it is not known whether all engines are full', async () => {
    const options = { circuitBreaker: false, cacheTtlMs: 0, staleIfErrorMs: 0, dialect: 'unversioned', retry: { attempts: 1 } } as const
    const { client, clock, fake } = setup({ engines: 1 }, options)
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    await during(clock, failureOf(client.acquireEngine()))
    await clock.advance(1_000)
    fake.inject({ kind: 'refused', ...always })
    const before = clock.now()
    expect(await during(clock, failureOf(client.acquireEngine({ waitMs: 10_000 })))).toMatchObject({ code: 'CONNECTION' })
    expect(clock.now() - before).toBe(10_000)
  })

  it('causes no request for an engine when the next list shows a free slot', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { circuitBreaker, staleIfErrorMs: 1_000, dialect: 'unversioned' })
    await (await client.acquireEngine()).release()
    const fault = fake.inject({ kind: 'refused', ...always })
    await clock.advance(5_000)
    const acquiring = client.acquireEngine({ waitMs: 30_000 })
    await clock.advance(8_000)
    fault.remove()
    await during(clock, acquiring)
    expect(fake.counters.requests.byRoute['POST /provision/acestream'] ?? 0).toBe(0)
  })
})
