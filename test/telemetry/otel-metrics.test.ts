import { ValueType } from '@opentelemetry/api'
import type { Histogram } from '@opentelemetry/sdk-metrics'
import { instrument } from 'acestream-orchestrator-client/otel'
import { describe, expect, it } from 'vitest'
import { OtelHost } from '../support/otel-host.ts'
import { during, failureOf, playback, setup } from '../support/setup.ts'

function instrumented(...[fakeOptions, clientOptions]: Parameters<typeof setup>) {
  const host = new OtelHost()
  const world = setup({ engines: 1, ...fakeOptions }, { dialect: 'unversioned', ...clientOptions })
  const { meterProvider } = host
  const instrumentation = instrument(world.client, { meterProvider })
  return { ...world, host, instrumentation }
}

const histogramOf = (point: { value: unknown } | undefined) => point?.value as Histogram

describe('the metrics of OpenTelemetry', () => {
  it('measure requests as the conventions say: http.client.request.duration, in seconds, with their buckets', async () => {
    const { client, host, clock } = instrumented({ latencyMs: 40 })
    await during(clock, client.listEngines())
    const metric = (await host.collect()).find(({ descriptor }) => descriptor.name === 'http.client.request.duration')
    expect(metric?.descriptor).toMatchObject({ unit: 's', valueType: ValueType.DOUBLE })
    expect(metric?.dataPoints.map(({ attributes }) => attributes)).toEqual([
      {
        'http.request.method': 'GET',
        'server.address': 'orchestrator.test',
        'server.port': 80,
        'url.template': '/engines',
        'http.response.status_code': 200,
      },
    ])
    const { sum, count, buckets } = histogramOf(metric?.dataPoints[0] as { value: unknown })
    expect({ sum, count }).toEqual({ sum: 0.04, count: 1 })
    expect(buckets.boundaries).toEqual([0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10])
  })

  it('measure how long callers waited for an engine, by outcome, and how long starts took', async () => {
    const { client, host, clock } = instrumented({ latencyMs: 0 })
    const lease = await client.acquireEngine()
    const waiting = client.acquireEngine({ provision: false })
    const refused = failureOf(client.acquireEngine({ provision: false, waitMs: 500 }))
    await clock.advance(1_500)
    await refused
    await lease.release()
    await (await waiting).startStream(playback())
    const points = await host.pointsOf('acestream.client.acquire.duration')
    const byOutcome = Object.fromEntries(points.map((point) => [point.attributes['acestream.outcome'], histogramOf(point)]))
    expect(byOutcome).toMatchObject({ acquired: { count: 2, sum: 1.5 }, capacity: { count: 1, sum: 0.5 } })
    const [start] = await host.pointsOf('acestream.client.start.duration')
    expect(histogramOf(start)).toMatchObject({ count: 1 })
  })

  it('read the numbers of client.metrics(): engines, streams, the outbox, the circuit', async () => {
    const { client, host } = instrumented({ engines: 3 }, { maxStreamsPerEngine: 2 })
    await (await client.acquireEngine()).startStream(playback())
    const metrics = await host.collect()
    const pointsIn = (name: string) => metrics.find(({ descriptor }) => descriptor.name === `acestream.client.${name}`)?.dataPoints
    expect(pointsIn('engines.listed')).toMatchObject([{ value: 3 }])
    expect(pointsIn('engines.slots')).toMatchObject([{ value: 6 }])
    expect(pointsIn('streams.live')).toMatchObject([{ value: 1 }])
    expect(pointsIn('events.pending')).toMatchObject([{ value: 0 }])
    expect(pointsIn('events.delivered')).toMatchObject([
      { value: 1, attributes: { 'acestream.event': 'started' } },
      { value: 0, attributes: { 'acestream.event': 'ended' } },
    ])
    expect(pointsIn('circuit.state')).toMatchObject([
      { value: 1, attributes: { 'acestream.state': 'closed' } },
      { value: 0, attributes: { 'acestream.state': 'half-open' } },
      { value: 0, attributes: { 'acestream.state': 'open' } },
    ])
  })

  it('have a unit and a description each, and names that are no namespace of another metric', async () => {
    const { client, host } = instrumented()
    await (await client.acquireEngine()).startStream(playback())
    const descriptors = (await host.collect()).map(({ descriptor }) => descriptor)
    expect(descriptors.length).toBeGreaterThan(25)
    for (const { name, unit, description } of descriptors) {
      expect(unit, name).toMatch(/^(s|1|\{[a-z]+\})$/)
      expect(description, name).toMatch(/^[A-Z].+\.$/)
      expect(name).toMatch(/^(acestream\.client|http\.client)(\.[a-z_]+)+$/)
      expect(descriptors.filter((other) => other.name.startsWith(`${name}.`))).toEqual([])
    }
  })

  it('tell two clients apart by the attributes of the host', async () => {
    const host = new OtelHost()
    for (const site of ['north', 'south']) {
      const { client } = setup({ engines: site === 'north' ? 1 : 2 })
      instrument(client, { meterProvider: host.meterProvider, attributes: { site } })
      await client.listEngines()
    }
    const points = await host.pointsOf('acestream.client.engines.listed')
    expect(points.map(({ value, attributes }) => [attributes['site'], value])).toEqual([
      ['north', 1],
      ['south', 2],
    ])
  })

  it('end with dispose(): the client is not read any more', async () => {
    const { client, host, instrumentation } = instrumented()
    await client.listEngines()
    instrumentation.dispose()
    await client.checkHealth()
    expect(await host.pointsOf('acestream.client.engines.listed')).toEqual([])
    expect((await host.pointsOf('http.client.request.duration')).map((point) => histogramOf(point).count)).toEqual([1])
  })
})
