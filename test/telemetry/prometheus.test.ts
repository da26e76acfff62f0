import { collectInto } from 'acestream-orchestrator-client/prometheus'
import { Gauge, Registry } from 'prom-client'
import { describe, expect, it, vi } from 'vitest'
import { expectWellFormed, parseExposition, parseSeries, valuesOf } from '../support/exposition.ts'
import { during, failureOf, playback, setup } from '../support/setup.ts'

function collected(...[fakeOptions, clientOptions]: Parameters<typeof setup>) {
  const registry = new Registry()
  const world = setup({ engines: 2, ...fakeOptions }, { dialect: 'unversioned', ...clientOptions })
  return { ...world, registry, collection: collectInto(registry, world.client) }
}

describe('the metrics of Prometheus', () => {
  it('are read by a parser of the format: with help, type and unit, and no series twice', async () => {
    const { client, registry, clock, fake } = collected({ latencyMs: 20 })
    await during(clock, client.acquireEngine())
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    await during(clock, failureOf(client.checkHealth()))
    const text = await registry.metrics()
    expectWellFormed(text)
    expect(parseExposition(text).length).toBeGreaterThan(25)
    expect(parseExposition(text).every(({ name }) => name.startsWith('acestream_client_'))).toBe(true)
  })

  it('count requests by route, never with an id', async () => {
    const { client, registry } = collected()
    const stream = await (await client.acquireEngine()).startStream(playback())
    await stream.end()
    expect(valuesOf(await registry.metrics(), 'acestream_client_requests_sent_total')).toEqual({
      '{"route":"GET /engines"}': 1,
      '{"route":"POST /events/stream_started"}': 1,
      '{"route":"POST /events/stream_ended"}': 1,
    })
  })

  it('measure requests by route and status, in seconds', async () => {
    const { client, registry, clock, fake } = collected({ latencyMs: 30 }, { retry: { attempts: 1 } })
    await during(clock, client.listEngines())
    fake.inject({ kind: 'status', status: 500, route: 'GET /orchestrator/status' })
    await during(clock, failureOf(client.checkHealth()))
    fake.inject({ kind: 'refused', route: 'GET /orchestrator/status' })
    await during(clock, failureOf(client.checkHealth()))
    const text = await registry.metrics()
    const [engines, failed, unanswered] = [
      '"GET /engines","status":"200"',
      '"GET /orchestrator/status","status":"500"',
      '"GET /orchestrator/status","status":"none"',
    ]
    const key = (labels?: string) => `{"route":${labels}}`
    expect(valuesOf(text, 'acestream_client_request_duration_seconds_count')).toEqual({
      [key(engines)]: 1,
      [key(failed)]: 1,
      [key(unanswered)]: 1,
    })
    expect(valuesOf(text, 'acestream_client_request_duration_seconds_sum')[key(engines)]).toBeCloseTo(0.03)
    const buckets = valuesOf(text, 'acestream_client_request_duration_seconds_bucket')
    const upTo = (limit: string) => buckets[`{"le":"${limit}","route":${engines}}`]
    expect([upTo('0.025'), upTo('0.05'), upTo('+Inf')]).toEqual([0, 1, 1])
  })

  it('measure how long callers waited, also if they were refused or left, and how long starts took', async () => {
    const { client, registry, clock } = collected({ engines: 1 })
    const lease = await client.acquireEngine()
    const controller = new AbortController()
    const left = failureOf(client.acquireEngine({ provision: false, signal: controller.signal }))
    const refused = failureOf(client.acquireEngine({ provision: false, waitMs: 2_000 }))
    await clock.advance(1_000)
    controller.abort()
    await clock.advance(1_000)
    await Promise.all([left, refused])
    await lease.startStream(playback())
    const text = await registry.metrics()
    const outcomes = (acquired: number, aborted: number, capacity: number) => ({
      '{"outcome":"acquired"}': acquired,
      '{"outcome":"aborted"}': aborted,
      '{"outcome":"capacity"}': capacity,
    })
    expect(valuesOf(text, 'acestream_client_acquire_duration_seconds_count')).toEqual(outcomes(1, 1, 1))
    expect(valuesOf(text, 'acestream_client_acquire_duration_seconds_sum')).toEqual(outcomes(0, 1, 2))
    expect(valuesOf(text, 'acestream_client_start_duration_seconds_count')).toEqual({ '{}': 1 })
  })

  it('never decrease where they are counters, from one scrape to the next', async () => {
    const { client, registry } = collected()
    const counters = async () => {
      const series = parseSeries(await registry.metrics()).filter(({ name }) => /_(total|count|bucket|sum)$/.test(name))
      return new Map(series.map(({ name, labels, value }) => [`${name} ${JSON.stringify(labels)}`, value]))
    }
    let before = await counters()
    for (let viewer = 0; viewer < 5; viewer += 1) {
      const stream = await (await client.acquireEngine()).startStream(playback(`${viewer}`.repeat(40)))
      await stream.end()
      const now = await counters()
      for (const [name, value] of before) expect(now.get(name), name).toBeGreaterThanOrEqual(value)
      before = now
    }
    expect(before.get('acestream_client_leases_acquired_total {}')).toBe(5)
  })

  it('have the format of OpenMetrics too, if the registry asks for it', async () => {
    const registry = new Registry()
    registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE as never)
    const { client } = setup({ engines: 1 })
    collectInto(registry, client)
    await client.acquireEngine()
    const text = await registry.metrics()
    expect(text).toContain('# TYPE acestream_client_leases_acquired counter')
    expect(text).toMatch(/\n# EOF\n$/)
  })
})

describe('several clients in one registry', () => {
  it('are told apart by a label', async () => {
    const registry = new Registry()
    const north = setup({ engines: 1 }).client
    const south = setup({ engines: 2 }).client
    collectInto(registry, north, { labels: { site: 'north' } })
    collectInto(registry, south, { labels: { site: 'south' } })
    for (const client of [north, south, south]) await client.acquireEngine()
    const text = await registry.metrics()
    expectWellFormed(text)
    expect(valuesOf(text, 'acestream_client_leases_active')).toEqual({ '{"site":"north"}': 1, '{"site":"south"}': 2 })
    expect(valuesOf(text, 'acestream_client_acquire_duration_seconds_count')).toEqual({
      '{"outcome":"acquired","site":"north"}': 1,
      '{"outcome":"acquired","site":"south"}': 2,
    })
  })

  it('are rejected with the reason if a label does not tell them apart', () => {
    const registry = new Registry()
    const clients = [setup().client, setup().client, setup().client]
    collectInto(registry, clients[0] as never, { labels: { site: 'north' } })
    const add = (labels?: Record<string, string>) => () => collectInto(registry, clients[1] as never, { labels })
    expect(add({ site: 'north' })).toThrow(
      expect.objectContaining({ argument: 'labels', message: expect.stringContaining('the same labels') }),
    )
    expect(add()).toThrow(expect.objectContaining({ argument: 'labels', message: expect.stringContaining('site') }))
    expect(add({ zone: 'b' })).toThrow(expect.objectContaining({ argument: 'labels' }))
    expect(add({ route: 'x' })).toThrow(expect.objectContaining({ argument: 'labels.route' }))
    expect(add({ 'not a name': 'x' })).toThrow(expect.objectContaining({ argument: 'labels.not a name' }))
    expect(add({ site: 'south' })).not.toThrow()
  })

  it('leave the registry one by one with dispose(); the last one takes the metrics with it', async () => {
    const registry = new Registry()
    const [north, south] = [setup({ engines: 1 }).client, setup({ engines: 1 }).client]
    const first = collectInto(registry, north, { labels: { site: 'north' } })
    const second = collectInto(registry, south, { labels: { site: 'south' } })
    for (const client of [north, south]) await client.acquireEngine()
    first.dispose()
    first.dispose()
    const text = await registry.metrics()
    expect(text).toContain('site="south"')
    expect(text).not.toContain('site="north"')
    second.dispose()
    expect(await registry.metrics()).toBe('\n')
    expect(() => collectInto(registry, north)).not.toThrow()
  })
})

describe('collectInto', () => {
  it('says which metric of the host has the same name, and registers none then', async () => {
    const registry = new Registry()
    new Gauge({ name: 'acestream_client_viewers', help: 'Of the host.', registers: [registry] })
    expect(() => collectInto(registry, setup().client)).toThrow(
      expect.objectContaining({ argument: 'registry', message: expect.stringContaining('acestream_client_viewers') }),
    )
    expect(registry.getMetricsAsArray()).toHaveLength(1)
  })

  it('registers the metrics again after the host cleared the registry', async () => {
    const { client, registry } = collected()
    registry.clear()
    collectInto(registry, client)
    expect(await registry.metrics()).toContain('acestream_client_streams_live 0')
  })

  it('leaves no listener of an earlier call at the client after the host cleared the registry', async () => {
    const { client } = setup()
    const registry = new Registry()
    const added = vi.spyOn(client, 'on')
    const removed = vi.spyOn(client, 'off')
    const earlier = collectInto(registry, client)
    const ofOneCall = added.mock.calls.length
    expect(ofOneCall).toBeGreaterThan(0)
    for (let times = 0; times < 3; times += 1) {
      registry.clear()
      collectInto(registry, client)
    }
    expect(added.mock.calls.length - removed.mock.calls.length).toBe(ofOneCall)
    earlier.dispose()
    await client.acquireEngine()
    expect(valuesOf(await registry.metrics(), 'acestream_client_acquire_duration_seconds_count')).toEqual({ '{"outcome":"acquired"}': 1 })
    expect(added.mock.calls.length - removed.mock.calls.length).toBe(ofOneCall)
  })

  it('rejects a misspelled option, labels that are no texts, and a value that is no registry', () => {
    const { client } = setup()
    const refusal = (options: object) => () => collectInto(new Registry(), client, options)
    expect(refusal({ label: {} })).toThrow(expect.objectContaining({ argument: 'label', message: expect.stringContaining('labels') }))
    expect(refusal({ labels: { site: 1 } })).toThrow(expect.objectContaining({ argument: 'labels.site' }))
    expect(() => collectInto({} as never, client)).toThrow(expect.objectContaining({ argument: 'registry' }))
  })

  it('rejects a client of another package', () => {
    expect(() => collectInto(new Registry(), {} as never)).toThrow(expect.objectContaining({ argument: 'client' }))
  })

  it('reads the client until dispose(), also after close()', async () => {
    const { client, registry, collection } = collected()
    await client.acquireEngine()
    await client.close()
    expect(valuesOf(await registry.metrics(), 'acestream_client_leases_acquired_total')).toEqual({ '{}': 1 })
    collection.dispose()
    expect(registry.getMetricsAsArray()).toEqual([])
  })
})
