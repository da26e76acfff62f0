import type { OrchestratorClient } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { formatMetrics } from '../../examples/proxy/prometheus.ts'
import { orchestratorCheck } from '../../examples/proxy/readiness.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { eventually, stage, startEngine, startProxy, view } from './stage.ts'

/** The samples of a text in Prometheus' format, by name and labels. Throws if a line is invalid. */
function samplesOf(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  const types = new Map<string, string>()
  for (const line of text.trimEnd().split('\n')) {
    const [, typed = '', type] = /^# TYPE (\w+) (counter|gauge)$/.exec(line) ?? []
    if (type !== undefined && types.has(typed)) throw new Error(`${typed} has two types`)
    if (type !== undefined) types.set(typed, type)
    if (line.startsWith('# ')) continue
    const [, name = '', labels = '', value] = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)+\})? (-?[\d.e+-]+)$/.exec(line) ?? []
    if (value === undefined) throw new Error(`invalid line: ${line}`)
    if (types.get(name) === undefined || samples.has(name + labels)) throw new Error(`${name} has no type, or is there twice`)
    if ((types.get(name) === 'counter') !== name.endsWith('_total')) throw new Error(`${name} has a wrong name`)
    samples.set(name + labels, Number(value))
  }
  return samples
}

async function metricsOf(url: string): Promise<Map<string, number>> {
  return samplesOf(await (await fetch(`${url}/metrics`)).text())
}

describe('/healthz', () => {
  it('says that the process lives, without the orchestrator', async () => {
    const { fake, url } = await stage()
    fake.restart({ downMs: 600_000 })
    const answer = await fetch(`${url}/healthz`)
    expect([answer.status, await answer.json()]).toEqual([200, { status: 'ok' }])
  })
})

describe('/readyz', () => {
  async function orchestrated({ timeoutMs = 60_000, apiKey }: { timeoutMs?: number; apiKey?: string } = {}) {
    const world = await stage({ client: apiKey === undefined ? {} : { apiKey } })
    const { url } = await startProxy({ source: world.client, whyNotReady: orchestratorCheck(world.client, timeoutMs) })
    const readiness = async (): Promise<unknown[]> => {
      const answer = await fetch(`${url}/readyz`)
      return [answer.status, await answer.json()]
    }
    return { ...world, readiness }
  }

  it('gets status 200 while the orchestrator responds', async () => {
    const { fake, readiness } = await orchestrated()
    expect(await readiness()).toEqual([200, { status: 'ready' }])
    const { total } = fake.counters.requests
    expect(await readiness()).toEqual([200, { status: 'ready' }])
    // The client knows it by now, so that probes send nothing.
    expect(fake.counters.requests.total).toBe(total)
  })

  it('gets status 503 with the reason while the orchestrator cannot be reached, and 200 after it', async () => {
    const { fake, readiness } = await orchestrated({ timeoutMs: 50 })
    fake.restart({ downMs: 600_000 })
    expect(await readiness()).toEqual([503, { reason: 'orchestrator_unreachable', error: 'the proxy is not ready' }])
    fake.restart()
    await eventually(async () => expect(await readiness()).toEqual([200, { status: 'ready' }]))
  })

  it.each([
    ['the circuit breaker is open', 'healthy', 'open'],
    ['the last check failed', 'unavailable', 'closed'],
    ['no check succeeded yet', 'unknown', 'closed'],
  ] as const)('asks the orchestrator if %s', async (_, status, circuit) => {
    const client = (responds: boolean) => {
      const check = responds ? Promise.resolve() : Promise.reject(new Error('no answer'))
      check.catch(() => undefined)
      return { health: { status, key: 'none' }, metrics: () => ({ circuit }), checkHealth: () => check } as unknown as OrchestratorClient
    }
    expect(await orchestratorCheck(client(true))()).toBeUndefined()
    expect(await orchestratorCheck(client(false))()).toBe('orchestrator_unreachable')
  })

  it('gets status 503 if the orchestrator rejects the key', async () => {
    const { client, readiness } = await orchestrated({ apiKey: 'wrong' })
    await client.provisionEngine().catch(() => undefined)
    expect(await readiness()).toEqual([503, { reason: 'orchestrator_key_rejected', error: 'the proxy is not ready' }])
  })

  it('gets status 200 with a single engine', async () => {
    const { url } = await startProxy({ source: singleEngine(await startEngine()) })
    expect((await fetch(`${url}/readyz`)).status).toBe(200)
  })
})

describe('/metrics', () => {
  it('has the figures of the proxy, of the client and of the process, as Prometheus reads them', async () => {
    const { engines, url } = await stage()
    const viewer = await view(url, 1)
    await view(url, 2)
    await fetch(`${url}/one/of/any/number`)
    const answer = await fetch(`${url}/metrics`)
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const samples = samplesOf(await answer.text())
    expect(Object.fromEntries(samples)).toMatchObject({
      acexy_viewers: 1,
      acexy_streams: 1,
      'acexy_http_responses_total{route="/ace/getstream",status="503"}': 1,
      'acexy_http_responses_total{route="other",status="404"}': 1,
      'acexy_refusals_total{reason="full"}': 1,
      'acexy_orchestrator_requests_total{route="POST /events/stream_started"}': 1,
      'acexy_events_delivered_total{event="started"}': 1,
      'acexy_orchestrator_circuit{state="closed"}': 1,
      'acexy_orchestrator_circuit{state="open"}': 0,
      acexy_viewers_cut_off_total: 0,
    })
    expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(samples.get('process_start_time_seconds')).toBeGreaterThan(1e9)
    engines[0]?.breakOff()
    await viewer.gone
    await eventually(async () => expect((await metricsOf(url)).get('acexy_viewers_cut_off_total')).toBe(1))
  })

  it('leaves out the figures of an orchestrator if there is none', async () => {
    const { url } = await startProxy({ source: singleEngine(await startEngine()) })
    const names = [...(await metricsOf(url)).keys()]
    expect(names).toContain('acexy_streams')
    expect(names.filter((name) => name.includes('orchestrator'))).toEqual([])
  })

  it('escapes what would end a label or a line', () => {
    const samples = [{ labels: { reason: 'a"} 1\nb\\' }, value: 2 }]
    const text = formatMetrics([{ name: 'x_total', type: 'counter', help: 'a\nb \\', samples }])
    expect(text).toBe('# HELP x_total a\\nb \\\\\n# TYPE x_total counter\nx_total{reason="a\\"} 1\\nb\\\\"} 2\n')
    expect(samplesOf(text).size).toBe(1)
  })
})
