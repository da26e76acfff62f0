import { ClientClosedError, ConnectionError } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../support/setup.ts'

const checks = (byRoute: Record<string, number>) => byRoute['GET /orchestrator/status'] ?? 0
const outage = { kind: 'refused', route: 'GET /orchestrator/status', times: Number.POSITIVE_INFINITY } as const

describe.each(GENERATIONS)('the health of %s', (generation) => {
  it('is `unknown` and allows provisioning until the first check, and then has the answer of the orchestrator', async () => {
    const { client, clock } = setup({ generation, engines: 2, maxReplicas: 5 })
    expect(client.health).toEqual({ status: 'unknown', key: 'unknown', provisioning: { canProvision: true, shouldWait: true } })
    const health = await client.checkHealth()
    expect(health).toMatchObject({ status: 'healthy', capacity: { total: 2, used: 0 }, provisioning: { canProvision: true } })
    expect(health.checkedAt?.getTime()).toBe(clock.now())
    expect(client.health).toBe(health)
  })

  it('says why no engine can be provisioned', async () => {
    const { client, fake } = setup({ generation, engines: 1 })
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    expect((await client.checkHealth()).provisioning).toMatchObject({ canProvision: false, code: 'circuit_breaker', shouldWait: true })
  })
})

describe('the health monitor', () => {
  it('sends nothing before the first call, and then checks every healthIntervalMs', async () => {
    const { client, fake, clock } = setup({}, { healthIntervalMs: 30_000 })
    await clock.advance(120_000)
    expect(fake.counters.requests.total).toBe(0)
    await client.listEngines()
    await clock.advance(29_999)
    expect(checks(fake.counters.requests.byRoute)).toBe(0)
    await clock.advance(1)
    expect(checks(fake.counters.requests.byRoute)).toBe(1)
    await clock.advance(60_000)
    expect(checks(fake.counters.requests.byRoute)).toBe(3)
    expect(client.health.status).toBe('healthy')
  })

  it('continues after a failed check', async () => {
    const { client, fake, clock } = setup({}, { healthIntervalMs: 30_000 })
    await client.listEngines()
    const fault = fake.inject(outage)
    await clock.advance(60_000)
    expect(fault.hits).toBe(2)
    fault.remove()
    await clock.advance(30_000)
    expect(client.health.status).toBe('healthy')
  })

  it('never runs two checks at once, even if a check takes longer than the interval', async () => {
    const { client, fake, clock } = setup({}, { healthIntervalMs: 1_000, requestTimeoutMs: 10_000 })
    await client.listEngines()
    fake.latencyMs = 5_000
    await clock.advance(12_000)
    expect(checks(fake.counters.requests.byRoute)).toBe(2)
  })

  it('never checks if healthIntervalMs is 0', async () => {
    const { client, fake, clock } = setup({}, { healthIntervalMs: 0 })
    await client.listEngines()
    await clock.advance(3_600_000)
    expect(checks(fake.counters.requests.byRoute)).toBe(0)
  })

  it('stops when the client closes', async () => {
    const { client, fake, clock } = setup({}, { healthIntervalMs: 30_000 })
    await client.listEngines()
    await client.close()
    await clock.advance(300_000)
    expect(checks(fake.counters.requests.byRoute)).toBe(0)
    expect(clock.pendingCount).toBe(0)
  })
})

describe('checkHealth()', () => {
  it('sends one request for simultaneous callers, and an abort ends only the wait of its caller', async () => {
    const { client, fake, clock } = setup({ latencyMs: 100 }, { dialect: 'unversioned' })
    const abort = new AbortController()
    const aborted = failureOf(client.checkHealth({ signal: abort.signal }))
    const others = Promise.all(Array.from({ length: 20 }, () => client.checkHealth()))
    await clock.advance(10)
    abort.abort('viewer left')
    expect(await aborted).toBe('viewer left')
    await clock.advance(100)
    expect(new Set(await others).size).toBe(1)
    expect(checks(fake.counters.requests.byRoute)).toBe(1)
    await during(clock, client.checkHealth())
    expect(checks(fake.counters.requests.byRoute)).toBe(2)
  })

  it('sends no request if its signal is already aborted', async () => {
    const { client, fake } = setup()
    expect(await failureOf(client.checkHealth({ signal: AbortSignal.abort('gone') }))).toBe('gone')
    expect(fake.counters.requests.total).toBe(0)
  })

  it('rejects if the request fails, and a health that was never read stays `unknown`', async () => {
    const { client, fake, clock } = setup()
    fake.inject(outage)
    expect(await during(clock, failureOf(client.checkHealth()))).toBeInstanceOf(ConnectionError)
    expect(client.health).toEqual({ status: 'unknown', key: 'unknown', provisioning: { canProvision: true, shouldWait: true } })
  })

  it('makes a known health `unavailable` if the request fails, and keeps its provisioning and checkedAt', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { circuitBreaker: false })
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const before = await client.checkHealth()
    expect(before).toMatchObject({ status: 'degraded', vpnConnected: false })
    await clock.advance(5_000)
    const fault = fake.inject(outage)
    await during(clock, failureOf(client.checkHealth()))
    expect(client.health).toEqual({ ...before, status: 'unavailable' })
    expect(client.health.checkedAt).toEqual(before.checkedAt)
    fault.remove()
    fake.setProvisioning({ refuse: undefined })
    expect(await client.checkHealth()).toMatchObject({ status: 'healthy', provisioning: { canProvision: true } })
  })

  it('returns an object that callers cannot change for each other', async () => {
    const { client } = setup()
    const health = await client.checkHealth()
    expect(() => Object.assign(health, { status: 'unavailable' })).toThrow(TypeError)
    expect(() => Object.assign(health.provisioning, { canProvision: false })).toThrow(TypeError)
    expect(() => Object.assign(health.capacity ?? {}, { total: 99 })).toThrow(TypeError)
    const at = health.checkedAt?.getTime()
    health.checkedAt?.setTime(0)
    expect(client.health.checkedAt?.getTime()).toBe(at)
  })

  it('blocks nothing: an engine is leased even if the health says that none can be provisioned', async () => {
    const { client, fake } = setup({ engines: 1, maxReplicas: 1 })
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    expect((await client.checkHealth()).provisioning.canProvision).toBe(false)
    const stream = await (await client.acquireEngine({ waitMs: 0 })).startStream(playback())
    expect(stream.state).toBe('live')
  })

  it('rejects after the client closed, and the last health stays readable', async () => {
    const { client } = setup()
    const health = await client.checkHealth()
    await client.close()
    expect(await failureOf(client.checkHealth())).toBeInstanceOf(ClientClosedError)
    expect(client.health).toBe(health)
  })

  it('rejects if the client closes meanwhile, and leaves the health unchanged', async () => {
    const { client, fake, clock } = setup()
    const health = await client.checkHealth()
    const changes: unknown[] = []
    client.on('health:changed', (event) => changes.push(event))
    fake.latencyMs = 1_000
    const checking = failureOf(client.checkHealth())
    await clock.advance(10)
    await client.close()
    expect(await checking).toBeInstanceOf(ClientClosedError)
    expect(client.health).toBe(health)
    expect(changes).toEqual([])
  })
})

describe('health:changed', () => {
  it('is emitted once for each change, with the previous and the current health', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { circuitBreaker: false })
    const changes: string[] = []
    client.on('health:changed', ({ previous, current }) => {
      changes.push(`${previous.status} ${previous.provisioning.canProvision} -> ${current.status} ${current.provisioning.canProvision}`)
    })
    await client.checkHealth()
    await client.checkHealth()
    fake.setProvisioning({ refuse: 'circuit_breaker' })
    await client.checkHealth()
    await client.checkHealth()
    const fault = fake.inject(outage)
    await during(clock, failureOf(client.checkHealth()))
    await during(clock, failureOf(client.checkHealth()))
    fault.remove()
    await client.checkHealth()
    expect(changes).toEqual([
      'unknown true -> healthy true',
      'healthy true -> degraded false',
      'degraded false -> unavailable false',
      'unavailable false -> degraded false',
    ])
  })
})
