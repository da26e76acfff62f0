import { CapacityError } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { distantStore } from '../../support/later-store.ts'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const wait = { provision: false } as const
const refusalOf = (work: Promise<unknown>) => failureOf(work) as Promise<CapacityError>

describe('the error of a caller that is rejected from the wait queue', () => {
  it('has its position, waitedMs, the reason and retryAfterMs', async () => {
    const { client, clock } = setup({ engines: 1 })
    await client.acquireEngine()
    const first = refusalOf(client.acquireEngine({ ...wait, waitMs: 5_000 }))
    await clock.advance(500)
    const second = refusalOf(client.acquireEngine({ ...wait, waitMs: 3_000 }))
    await clock.advance(3_000)
    expect(await second).toMatchObject({ reason: 'full', position: 2, waitedMs: 3_000, retryAfterMs: 5_000 })
    await clock.advance(1_500)
    expect(await first).toMatchObject({ reason: 'full', position: 1, waitedMs: 5_000, retryAfterMs: 5_000 })
  })

  it('has its own position when 20 callers are rejected at the same moment', async () => {
    const { client, clock } = setup({ engines: 1 })
    await client.acquireEngine()
    const errors = Array.from({ length: 20 }, () => refusalOf(client.acquireEngine({ ...wait, waitMs: 3_000 })))
    const waitsLonger = refusalOf(client.acquireEngine({ ...wait, waitMs: 4_000 }))
    await clock.advance(4_000)
    expect((await Promise.all(errors)).map(({ position }) => position)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
    expect((await waitsLonger).position).toBe(1)
  })

  it('has its position and waitedMs also when the orchestrator refuses to start an engine', async () => {
    const { client, clock, fake } = setup({ engines: 1, provisionDelayMs: 2_000 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const errors = Promise.all([1, 2, 3].map(() => refusalOf(client.acquireEngine({ waitMs: 30_000 }))))
    const rejections = (await during(clock, errors)).map(({ reason, position, waitedMs }) => [reason, position, waitedMs])
    expect(rejections).toEqual([1, 2, 3].map((position) => ['vpn_disconnected', position, 2_000]))
  })

  it('has position 2 and waitedMs 0 with waitMs 0 behind one waiter, and neither when the queue is empty', async () => {
    const { client, clock } = setup({ engines: 1 })
    await client.acquireEngine()
    expect(await refusalOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ position: undefined, waitedMs: undefined })
    client.acquireEngine({ ...wait, waitMs: 1_000 }).catch(() => {})
    await clock.settle()
    expect(await refusalOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ position: 2, waitedMs: 0 })
  })
})

describe('a caller for whom no engine is requested because the circuit is open', () => {
  it('is rejected with the time until the circuit closes as retryAfterMs, but at least 1 s', async () => {
    const circuitBreaker = { failureThreshold: 1, resetAfterMs: 30_000 }
    const { client, clock, fake } = setup({ engines: 1 }, { circuitBreaker, leaseTtlMs: 120_000 })
    await client.acquireEngine()
    fake.inject({ kind: 'refused', route: 'POST /provision/acestream', times: Number.POSITIVE_INFINITY })
    const openedAt = clock.now()
    const rejections: unknown[] = []
    for (const passes of [7_000, 4_000, 18_500]) {
      const late = refusalOf(client.acquireEngine({ waitMs: passes }))
      await clock.advance(passes)
      const { reason, retryAfterMs, isAdvised, cause } = await late
      rejections.push([clock.now() - openedAt, reason, retryAfterMs, isAdvised, (cause as { code?: string } | undefined)?.code])
    }
    expect(rejections).toEqual([
      [7_000, 'unreachable', 23_000, false, 'CIRCUIT_OPEN'],
      [11_000, 'unreachable', 19_000, false, 'CIRCUIT_OPEN'],
      [29_500, 'unreachable', 1_000, false, 'CIRCUIT_OPEN'],
    ])
  })
})

describe.each(GENERATIONS)('every CapacityError on %s', (generation) => {
  it('has a reason and a retryAfterMs of at least 1 s, whether the client or the orchestrator caused it', async () => {
    const { client, clock, fake } = setup({ generation, engines: 1, maxReplicas: 1 }, { leaseTtlMs: 40_000, provisionTimeoutMs: 5_000 })
    const lease = await client.acquireEngine()
    const errors: unknown[] = []
    const note = async (work: Promise<unknown>): Promise<void> => void errors.push(await during(clock, failureOf(work)))
    await note(client.acquireEngine({ waitMs: 0 }))
    await note(client.acquireEngine({ ...wait, waitMs: 1_000 }))
    for (const refuse of ['general_error', 'vpn_error', 'circuit_breaker'] as const) {
      fake.setProvisioning({ refuse })
      await note(client.acquireEngine({ waitMs: 2_000 }))
      await note(client.provisionEngine())
    }
    fake.setProvisioning({ refuse: undefined })
    fake.inject({ kind: 'lost-request', route: 'POST /provision/acestream' })
    await note(client.provisionEngine())
    await clock.advance(40_000)
    fake.startElsewhere({ containerId: lease.engine.containerId })
    await client.listEngines({ fresh: true })
    await note(lease.startStream(playback()))
    for (const error of errors) {
      expect(error).toBeInstanceOf(CapacityError)
      expect((error as CapacityError).reason).not.toBe('')
      expect((error as CapacityError).retryAfterMs).toBeGreaterThanOrEqual(1_000)
    }
    expect(errors).toHaveLength(10)
    expect(errors.at(-1)).toMatchObject({ reason: 'lease_expired' })
  })
})

describe('a refusal with a retry time of 20 s', () => {
  it('does not reject a caller with waitMs 22,000, which gets an engine once the refusal is over', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected', etaSeconds: 20 })
    const waiting = client.acquireEngine({ waitMs: 22_000 })
    await clock.advance(10_000)
    expect(client.metrics().leases.waiting).toBe(1)
    fake.setProvisioning({ refuse: undefined })
    await clock.advance(11_000)
    expect((await waiting).engine.containerId).not.toBe('')
  })
})

describe('first come, first served', () => {
  it('a slot that is freed while the first waiter checks the engines goes to the first waiter, not to the second', async () => {
    for (let hops = 0; hops < 40; hops += 1) {
      const { client, clock, fake } = setup({ engines: 2 })
      const [a = '', b = ''] = fake.engines.map(({ containerId }) => containerId)
      const leases = [await client.acquireEngine(), await client.acquireEngine()]
      const on = (id: string) => leases.find(({ engine }) => engine.containerId === id)
      const served: string[] = []
      const join = (name: string, exclude: string[]) =>
        void client.acquireEngine({ ...wait, exclude }).then(
          () => served.push(name),
          () => {},
        )
      join('first', [a])
      join('second', ['another'])
      await clock.settle()
      const another = new AbortController()
      client.acquireEngine({ ...wait, signal: another.signal }).catch(() => {})
      await clock.settle()
      another.abort() // makes all waiters check the engines again
      for (let hop = 0; hop < hops; hop += 1) await Promise.resolve()
      void on(b)?.release()
      await clock.settle()
      expect([hops, served]).toEqual([hops, ['first']])
    }
  })
})

describe('a refusal to start an engine, with a store that answers after 5 ms', () => {
  it('does not reject a caller in the moment in which a slot becomes free for it', async () => {
    /** What becomes of a caller if a slot is freed `freedAtMs` after its call. */
    const outcomeWhen = async (freedAtMs: number) => {
      const { store, time } = distantStore(5)
      const { client, clock, fake } = setup({ engines: 1 }, { store, leaseTtlMs: 3_600_000 })
      time.clock = clock
      const held = await during(clock, client.acquireEngine(), 1)
      fake.setProvisioning({ refuse: 'vpn_disconnected' })
      const since = clock.now()
      let outcome: unknown[] = []
      client.acquireEngine().then(
        () => (outcome = ['served']),
        ({ reason }: CapacityError) => (outcome = [reason, clock.now() - since]),
      )
      await clock.advance(1_900)
      for (let passed = 1_900; passed < 2_100; passed += 1) {
        if (passed === freedAtMs) void held.release()
        await clock.advance(1)
      }
      return outcome
    }
    const [reason, rejectedAtMs] = await outcomeWhen(0)
    expect([reason, rejectedAtMs]).toEqual(['vpn_disconnected', expect.any(Number)])
    // The store takes 5 ms to free the slot.
    for (let freedAtMs = 1_980; freedAtMs + 5 < Number(rejectedAtMs); freedAtMs += 1) {
      expect([freedAtMs, await outcomeWhen(freedAtMs)]).toEqual([freedAtMs, ['served']])
    }
  })
})

describe('a caller with a waitMs of 0 behind a caller that waits for a new engine, with a store that answers after 5 ms', () => {
  it('is served if a slot for each of them is freed while the caller before it looks for one', async () => {
    /** What becomes of the caller if both slots of the engine are freed `freedAtMs` after its call, or not at all. */
    const outcomeWhen = async (freedAtMs?: number) => {
      const { store, time } = distantStore(5)
      const { client, clock } = setup({ engines: 1, provisionDelayMs: 600_000 }, { store, maxStreamsPerEngine: 2, leaseTtlMs: 3_600_000 })
      time.clock = clock
      const held = [await during(clock, client.acquireEngine(), 1), await during(clock, client.acquireEngine(), 1)]
      client.acquireEngine({ waitMs: 60_000 }).catch(() => {})
      await clock.advance(100)
      if (freedAtMs !== undefined) {
        // The store takes 5 ms to free the slots.
        for (const lease of held) void lease.release()
        await clock.advance(5 - freedAtMs)
      }
      const since = clock.now()
      let outcome: unknown[] = []
      client.acquireEngine({ waitMs: 0 }).then(
        () => (outcome = ['served']),
        ({ reason }: CapacityError) => (outcome = [reason, clock.now() - since]),
      )
      await clock.advance(60)
      return outcome
    }
    expect(await outcomeWhen()).toEqual(['full', 5])
    for (const freedAtMs of [1, 2, 3, 4]) expect([freedAtMs, await outcomeWhen(freedAtMs)]).toEqual([freedAtMs, ['served']])
  })
})
