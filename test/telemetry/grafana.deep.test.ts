import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { collectInto } from 'acestream-orchestrator-client/prometheus'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { read } from '../docs/pages.ts'
import { isPrometheusMissing, lintExposition, PrometheusServer } from '../support/prometheus-server.ts'
import { playback } from '../support/setup.ts'

interface Panel {
  readonly title: string
  readonly targets: readonly { readonly expr: string }[]
}

const { panels } = JSON.parse(read('examples/grafana/dashboard.json')) as { panels: readonly Panel[] }
const queries = panels.flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title, expr })))
/** Grafana's is a minute or so. The server scrapes five times a second. */
const withInterval = (expr: string): string => expr.replaceAll('$__rate_interval', '4s')

/** A proxy with viewers that come and go, while some requests of it fail. */
class BusyProxy implements AsyncDisposable {
  readonly registry = new Registry()
  readonly #fake = new FakeOrchestrator({ engines: 2, latencyMs: 3 })
  readonly #client = new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    apiKey: this.#fake.apiKey,
    transport: this.#fake,
    cacheTtlMs: 50,
  })
  readonly #server = createServer(async (_, response) => {
    response.setHeader('content-type', this.registry.contentType).end(await this.registry.metrics())
  })
  readonly #viewers: Promise<void>
  #isClosed = false

  constructor() {
    collectInto(this.registry, this.#client)
    this.#viewers = this.#serveViewers()
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async #serveViewers(): Promise<void> {
    for (let visit = 0; !this.#isClosed; visit += 1) {
      this.#fake.inject({ kind: 'status', status: 503, route: 'GET /streams' })
      await Promise.all([this.#watch(visit, 0), this.#watch(visit, 1), this.#client.listStreams()])
    }
  }

  async #watch(visit: number, seat: number): Promise<void> {
    const key = `${visit % 10}${seat}`.padEnd(40, '0')
    const open = async () => ({ session: playback(key, `${visit}`).session, playback: undefined })
    const viewer = await this.#client.joinStream({ keyType: 'infohash', key, lingerMs: 0, open })
    // Without time to wait there is no engine for a third viewer.
    await this.#client.acquireEngine({ waitMs: 0, provision: false }).then(
      (lease) => lease.release(),
      () => {},
    )
    await sleep(20)
    await viewer.leave()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    await this.#viewers
    await this.#client.close()
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

it('Prometheus is installed for the tests of the dashboard: apt-get install prometheus', () => {
  expect(isPrometheusMissing).toBe(false)
})

describe.skipIf(isPrometheusMissing)('the dashboard of Grafana, on a real Prometheus', () => {
  let proxy: BusyProxy
  let prometheus: PrometheusServer
  beforeAll(async () => {
    proxy = new BusyProxy()
    prometheus = await PrometheusServer.start(await proxy.listen())
    const isBusy = `sum(rate(acestream_client_leases_acquired_total[4s])) > 0 and count(count_over_time(up[4s]) > 10)`
    await prometheus.until(async () => (await prometheus.query(isBusy)).length > 0)
  })
  afterAll(async () => {
    await prometheus?.[Symbol.asyncDispose]()
    await proxy?.[Symbol.asyncDispose]()
  })

  it.each(queries)('shows data in the panel "$title": $expr', async ({ expr }) => {
    const result = await prometheus.query(withInterval(expr))
    expect(result.length).toBeGreaterThan(0)
    expect(result.some(({ value: [, text] }) => Number.isFinite(Number(text)))).toBe(true)
  })

  it('has a panel for each thing that an operator asks for', () => {
    const text = queries.map(({ expr }) => expr).join('\n')
    const asked = [
      ['engines_listed', 'engines_slots', 'callers_waiting', 'acquire_duration_seconds_bucket', 'events_delivered_total', 'events_pending'],
      [
        'circuit_state',
        'requests_sent_total',
        'request_duration_seconds_bucket',
        'start_duration_seconds_bucket',
        'events_misapplied_total',
      ],
    ].flat()
    expect(asked.filter((name) => !text.includes(`acestream_client_${name}`))).toEqual([])
    for (const quantile of ['0.5', '0.99']) expect(text).toMatch(new RegExp(`histogram_quantile\\(${quantile}, .*acquire_duration`))
  })

  it('the text that the proxy serves passes promtool, and every metric of it is in Prometheus', async () => {
    const text = await proxy.registry.metrics()
    expect(lintExposition(text)).toBe('')
    const names = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => (type === 'histogram' ? `${name}_count` : name))
    expect(names.length).toBeGreaterThan(25)
    for (const name of names) expect(await prometheus.query(name), name).not.toEqual([])
  })

  it('fails the test if a query is no PromQL or names no metric', async () => {
    await expect(prometheus.query('sum(')).rejects.toThrow('parse error')
    expect(await prometheus.query('acestream_client_no_such_metric')).toEqual([])
  })
})
