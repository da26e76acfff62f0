import { describe, expect, it } from 'vitest'
import { Calls } from './calls.ts'

describe('provisioning on 2025-10', () => {
  it('lists the new engine at once, and names it in the response', async () => {
    const calls = new Calls('2025-10', { engines: 1 })
    const { status, body } = await calls.provision({ labels: { x: 'y' } })
    expect(status).toBe(200)
    expect(body).toEqual({
      container_id: calls.engine(1),
      container_name: 'acestream-2',
      host_http_port: 19_001,
      container_http_port: 19_001,
      container_https_port: 45_001,
    })
    expect(calls.fake.engines[1]?.labels).toMatchObject({ x: 'y' })
    expect(calls.fake.counters.enginesProvisioned).toBe(1)
  })

  it('H4: three callers that each give up after 3 s cause three engines, if an engine needs 4 s', async () => {
    const calls = new Calls('2025-10', { engines: 0, provisionDelayMs: 4_000 })
    for (let attempt = 0; attempt < 3; attempt++) {
      const giveUp = new AbortController()
      const requesting = calls.send('POST', '/provision/acestream', {}, giveUp.signal)
      await calls.clock.advance(3_000)
      giveUp.abort(new Error('3 s are over'))
      await expect(requesting).rejects.toThrow('3 s are over')
    }
    await calls.clock.advance(4_000)
    expect(calls.fake.engines).toHaveLength(3)
  })

  it('H11: at MAX_REPLICAS the status says can_provision: false, and a request still starts an engine', async () => {
    const calls = new Calls('2025-10', { engines: 3, maxReplicas: 3 })
    expect((await calls.status()).provisioning).toMatchObject({
      can_provision: false,
      blocked_reason_details: { code: 'max_capacity', recovery_eta_seconds: null, can_retry: false, should_wait: true },
    })
    expect((await calls.provision()).status).toBe(200)
    expect(calls.fake.engines).toHaveLength(4)
  })

  it.each([
    ['vpn_disconnected', 503, 'provisioning_blocked', 60, true, true],
    ['circuit_breaker', 503, 'provisioning_blocked', 300, false, true],
    ['vpn_error', 503, 'provisioning_failed', 60, true, true],
    ['general_error', 500, 'provisioning_failed', null, false, false],
  ] as const)(
    'rejects a request with code %s and status %i, and advises whether to retry',
    async (code, status, error, eta, canRetry, shouldWait) => {
      const calls = new Calls('2025-10')
      calls.fake.setProvisioning({ refuse: code })
      const detail = { error, code, recovery_eta_seconds: eta, can_retry: canRetry, should_wait: shouldWait }
      expect(await calls.provision()).toMatchObject({ status, body: { detail } })
      expect(calls.fake.counters).toMatchObject({ enginesProvisioned: 0, provisionsRefused: 1 })
    },
  )

  it('counts the recovery time of an open circuit breaker down, and lets a request through when it is half open', async () => {
    const calls = new Calls('2025-10')
    calls.fake.setProvisioning({ refuse: 'circuit_breaker', etaSeconds: 20 })
    await calls.clock.advance(5_000)
    expect(await calls.provision()).toMatchObject({ body: { detail: { recovery_eta_seconds: 15, can_retry: false } } })
    await calls.clock.advance(15_000)
    expect((await calls.status()).provisioning).toMatchObject({ can_provision: true, circuit_breaker_state: 'half_open' })
    expect((await calls.provision()).status).toBe(200)
    expect((await calls.status()).provisioning).toMatchObject({ circuit_breaker_state: 'closed' })
  })

  it('H12: a blocked request is rejected only after the time that provisioning takes', async () => {
    const calls = new Calls('2025-10')
    calls.fake.setProvisioning({ refuse: 'vpn_disconnected', delayMs: 6_000 })
    let isAnswered = false
    const requesting = calls.provision().then(({ status }) => {
      isAnswered = true
      return status
    })
    await calls.clock.advance(5_999)
    expect(isAnswered).toBe(false)
    await calls.clock.advance(1)
    expect(await requesting).toBe(503)
  })

  it('fails while the container runtime is down, and failed requests do not open the breaker', async () => {
    const calls = new Calls('2025-10')
    calls.fake.setProvisioning({ runtimeDown: true })
    for (let failure = 0; failure < 6; failure++) {
      expect(await calls.provision()).toMatchObject({ status: 500, body: { detail: { code: 'general_error' } } })
    }
    expect((await calls.status()).provisioning).toMatchObject({ can_provision: true, circuit_breaker_state: 'closed' })
    calls.fake.setProvisioning({ runtimeDown: false })
    expect((await calls.provision()).status).toBe(200)
  })

  it('rejects with plain text, as older releases do, if textErrors is set', async () => {
    const calls = new Calls('2025-10')
    calls.fake.setProvisioning({ refuse: 'vpn_disconnected', textErrors: true })
    expect((await calls.provision()).body).toEqual({ detail: 'VPN connection is required but currently disconnected' })
  })
})

describe('provisioning on 2026-04', () => {
  it('always fails with status 500 and plain text, a bug of that release', async () => {
    const calls = new Calls('2026-04', { engines: 1 })
    expect(await calls.provision()).toMatchObject({ status: 500, body: 'Internal Server Error' })
    expect(calls.fake.engines).toHaveLength(1)
  })

  it('rejects requests while its breaker is open', async () => {
    const calls = new Calls('2026-04')
    calls.fake.setProvisioning({ refuse: 'circuit_breaker' })
    expect(await calls.provision()).toMatchObject({ status: 503, body: { detail: { code: 'circuit_breaker' } } })
  })

  it('H15: the status is up to 0.5 s old', async () => {
    const calls = new Calls('2026-04')
    await calls.status()
    await calls.start('s', calls.engine(0))
    expect((await calls.status()).streams).toMatchObject({ active: 0 })
    await calls.clock.advance(500)
    expect((await calls.status()).streams).toMatchObject({ active: 1 })
  })
})

describe('H19: v1 accepts every request for an engine and does not say when the engine comes', () => {
  it('of three engines that are requested at once, one is listed after 1 s and two after 26 s', async () => {
    const calls = new Calls('v1', { engines: 2 })
    for (let request = 0; request < 3; request++) expect((await calls.provision()).body).toEqual({ status: 'provisioning' })
    expect(calls.fake.engines).toHaveLength(2)
    await calls.clock.advance(1_000)
    expect(calls.fake.engines).toHaveLength(3)
    await calls.clock.advance(24_999)
    expect(calls.fake.engines).toHaveLength(3)
    await calls.clock.advance(1)
    expect(calls.fake.engines).toHaveLength(5)
    expect(calls.fake.counters.enginesProvisioned).toBe(3)
  })

  it('of four engines that are requested 1.5 s apart, each is listed 1 s after its request', async () => {
    const calls = new Calls('v1', { engines: 2 })
    for (let request = 0; request < 4; request++) {
      await calls.provision()
      await calls.clock.advance(1_000)
      expect(calls.fake.engines).toHaveLength(3 + request)
      await calls.clock.advance(500)
    }
  })

  it('a request right after a new engine was listed waits for the next round, 25 s later', async () => {
    const calls = new Calls('v1', { engines: 2, provisionDelayMs: 4_000 })
    await calls.provision()
    await calls.clock.advance(4_500)
    expect(calls.fake.engines).toHaveLength(3)
    await calls.provision()
    await calls.clock.advance(24_999)
    expect(calls.fake.engines).toHaveLength(3)
    await calls.clock.advance(1)
    expect(calls.fake.engines).toHaveLength(4)
  })

  it('a request within a second of the last one waits for the next round, 25 s later', async () => {
    const calls = new Calls('v1', { engines: 2, provisionDelayMs: 0 })
    await calls.provision()
    await calls.clock.advance(500)
    expect(calls.fake.engines).toHaveLength(3)
    await calls.provision()
    await calls.clock.advance(24_999)
    expect(calls.fake.engines).toHaveLength(3)
    await calls.clock.advance(1)
    expect(calls.fake.engines).toHaveLength(4)
  })

  it('a request at max_replicas gets the same response and no engine, and the status still says can_provision: true', async () => {
    const calls = new Calls('v1', { engines: 3, maxReplicas: 3 })
    expect((await calls.provision()).body).toEqual({ status: 'provisioning' })
    await calls.clock.advance(60_000)
    expect(calls.fake.engines).toHaveLength(3)
    const { provisioning, capacity } = await calls.status()
    expect(provisioning).toMatchObject({ can_provision: true, blocked_reason: null })
    expect(capacity).toMatchObject({ total: 3, max_replicas: 3 })
  })

  it('requests while the runtime is down get the same response, and their engines all start together later', async () => {
    const calls = new Calls('v1', { engines: 2 })
    calls.fake.setProvisioning({ runtimeDown: true })
    for (let request = 0; request < 5; request++) {
      expect((await calls.provision()).body).toEqual({ status: 'provisioning' })
      await calls.clock.advance(1_000)
    }
    expect((await calls.status()).provisioning).toMatchObject({ can_provision: false, blocked_reason: { code: 'circuit_breaker' } })
    const { body } = await calls.send('GET', '/circuit-breaker')
    expect(body).toMatchObject({ general: { state: 'open', failure_threshold: 5, recovery_timeout: 300 } })
    calls.fake.setProvisioning({ runtimeDown: false })
    expect((await calls.provision()).body).toEqual({ status: 'provisioning' })
    await calls.clock.advance(60_000)
    expect(calls.fake.engines).toHaveLength(2)
    await calls.send('POST', '/circuit-breaker/reset', {})
    await calls.provision()
    await calls.clock.advance(30_000)
    expect(calls.fake.engines).toHaveLength(6)
  })

  it('only the status shows that no engine will start', async () => {
    const calls = new Calls('v1', { engines: 1 })
    calls.fake.setProvisioning({ refuse: 'vpn_disconnected' })
    expect((await calls.provision()).status).toBe(200)
    await calls.clock.advance(120_000)
    expect(calls.fake.engines).toHaveLength(1)
    expect((await calls.status()).provisioning).toMatchObject({ can_provision: false, blocked_reason: { code: 'vpn_disconnected' } })
  })
})

describe('H18: stream_count on v1 is not the load', () => {
  it('a stream that starts twice on one engine, once on another and then ends leaves a count of 2 on the first', async () => {
    const calls = new Calls('v1', { engines: 2 })
    const [first, second] = [calls.engine(0), calls.engine(1)]
    await calls.start('s', first)
    await calls.start('s', first)
    await calls.start('s', second)
    await calls.end('s')
    expect(await calls.streams()).toEqual([])
    const counts = Object.fromEntries((await calls.engines()).map((engine) => [engine['container_id'], engine['stream_count']]))
    expect(counts).toEqual({ [first]: 2, [second]: 0 })
    calls.fake.restart()
    expect((await calls.engines()).map((engine) => engine['stream_count'])).toEqual([0, 0])
  })

  it('the list names no streams of an engine, and only a start releases a slot that select-engine claimed (H22)', async () => {
    const calls = new Calls('v1', { engines: 1 })
    await calls.start('s', calls.engine(0))
    expect((await calls.engines())[0]?.['streams']).toEqual([])
    const select = { method: 'GET', path: '/internal/proxy/select-engine', authorization: 'Bearer testkey', surface: 'internal' } as const
    expect((await calls.fake.handle(select)).status).toBe(200)
    await calls.clock.advance(3_600_000)
    expect((await calls.fake.handle(select)).status).toBe(503)
  })
})
