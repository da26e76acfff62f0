import { CapacityError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { during, failureOf, setup } from '../../support/setup.ts'

const always = { times: Number.POSITIVE_INFINITY } as const
const ROUTE = 'POST /provision/acestream'
const refusalOf = (work: Promise<unknown>) => failureOf(work) as Promise<CapacityError>

describe('the error of a caller that gets no engine', () => {
  it('quotes the orchestrator, and says how many engines are full and when to retry', async () => {
    const { client, clock, fake } = setup({ engines: 3 })
    for (let i = 0; i < 3; i += 1) await client.acquireEngine()
    const detail = {
      code: 'general_error',
      message: 'no free ports in range',
      recovery_eta_seconds: 32,
      can_retry: false,
      should_wait: false,
    }
    fake.inject({ kind: 'status', status: 500, body: JSON.stringify({ detail }), route: ROUTE, ...always })
    const { message, reason } = await during(clock, refusalOf(client.acquireEngine({ waitMs: 20_000 })))
    expect(message).toBe(
      'The orchestrator refused to start an engine: "no free ports in range". All 3 engines are full. Retry in 30 s. (Waited 2000 ms, position 1 in the wait queue.)',
    )
    expect(reason).toBe('general_error')
  })

  it('has the reason full when 2026-04 answers a request for an engine with a 500 without details', async () => {
    const { client, clock } = setup({ generation: '2026-04', engines: 1 })
    await client.acquireEngine()
    const error = await during(clock, refusalOf(client.acquireEngine({ waitMs: 4_000 })))
    expect(error).toMatchObject({ reason: 'full', shouldWait: true, canRetry: true, isAdvised: false, retryAfterMs: 5_000 })
    expect(error.message).toBe(
      'The orchestrator refused to start an engine: "Internal Server Error". The only engine is full. Retry in 5 s. (Waited 4000 ms, position 1 in the wait queue.)',
    )
    expect(error.cause).toBeInstanceOf(CapacityError)
  })

  it('has the reason no_engines when the list is empty', async () => {
    const { client, clock } = setup({ generation: '2026-04', engines: 0 })
    const error = await during(clock, refusalOf(client.acquireEngine({ waitMs: 4_000 })))
    expect(error.reason).toBe('no_engines')
    expect(error.message).toContain('There is no engine. Retry in 5 s.')
  })

  it('has the reason full for a caller with provision: false, though the orchestrator refused an engine to another caller', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.acquireEngine()
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const withoutProvisioning = refusalOf(client.acquireEngine({ provision: false, waitMs: 5_000 }))
    expect(await during(clock, refusalOf(client.acquireEngine()))).toMatchObject({ reason: 'vpn_disconnected' })
    expect(await during(clock, withoutProvisioning)).toMatchObject({
      reason: 'full',
      retryAfterMs: 5_000,
      message: expect.not.stringContaining('VPN'),
    })
  })

  it.each([2_500, 0])(
    'has the reason unreachable while the orchestrator is down, though it refused an engine before (waitMs %i)',
    async (waitMs) => {
      const { client, clock, fake } = setup({ generation: '2026-04', engines: 1 }, { retry: { attempts: 1 }, leaseTtlMs: 600_000 })
      await client.acquireEngine()
      await during(clock, failureOf(client.acquireEngine({ waitMs: 4_000 })))
      fake.inject({ kind: 'refused', ...always })
      await clock.advance(3_000)
      const error = await during(clock, refusalOf(client.acquireEngine({ waitMs })))
      expect(error).toMatchObject({ reason: 'unreachable', shouldWait: true, canRetry: true, isAdvised: false })
      expect(error.retryAfterMs).toBeGreaterThanOrEqual(1_000)
      expect(error.message).toMatch(
        /^The orchestrator cannot be reached: GET http:\/\/orchestrator\.test\/engines \(unversioned\): The connection was refused\. The only engine is full\. Retry in \d+ s\./,
      )
    },
  )

  it('has the reason unreachable no longer once a list has arrived', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { retry: { attempts: 1 }, leaseTtlMs: 600_000 })
    await client.acquireEngine()
    const fault = fake.inject({ kind: 'refused', ...always })
    await clock.advance(3_000)
    expect(await refusalOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'unreachable' })
    fault.remove()
    await during(clock, client.listEngines({ fresh: true }))
    expect(await refusalOf(client.acquireEngine({ waitMs: 0 }))).toMatchObject({ reason: 'full' })
  })

  it('counts the engines that are full, unhealthy and excluded when not all are full', async () => {
    const { client, clock, fake } = setup({ engines: 5, maxReplicas: 5 })
    const [a = '', b = '', c = ''] = fake.engines.map(({ containerId }) => containerId)
    fake.startElsewhere({ containerId: a })
    fake.startElsewhere({ containerId: b })
    fake.updateEngine(c, { healthStatus: 'unhealthy' })
    fake.inject({ kind: 'status', status: 422, body: '{}', route: ROUTE, ...always })
    const held = await client.acquireEngine()
    const other = await client.acquireEngine({ exclude: [held.engine.containerId] })
    await other.release()
    const exclude = [other.engine.containerId]
    const { message, reason } = await during(clock, refusalOf(client.acquireEngine({ exclude, waitMs: 0 })))
    expect(reason).toBe('full')
    expect(message).toBe('Of 5 engines, 3 are full, 1 is unhealthy, 1 is excluded by this call. Retry in 5 s.')
  })

  it('states the full waitMs, though the refusal came at once', async () => {
    const { client, clock } = setup({ generation: '2026-04', engines: 1 })
    await client.acquireEngine()
    const error = await during(clock, refusalOf(client.acquireEngine({ waitMs: 20_000 })))
    expect(error).toMatchObject({ waitedMs: 20_000, position: 1 })
    expect(error.message).toContain('Waited 20000 ms, position 1 in the wait queue')
  })

  it('states on v1 how many engines run and how many may run', async () => {
    const { client, clock } = setup({ generation: 'v1', engines: 2, maxReplicas: 2 })
    await client.acquireEngine()
    await client.acquireEngine()
    const error = await during(clock, refusalOf(client.acquireEngine({ waitMs: 5_000 })))
    expect(error.reason).toBe('max_capacity')
    expect(error.message).toContain('The orchestrator starts no engine: it runs 2 of at most 2. All 2 engines are full. Retry in')
  })
})
