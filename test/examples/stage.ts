import { OrchestratorClient, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions } from 'acestream-orchestrator-client/testing'
import { expect, onTestFinished, vi } from 'vitest'
import { FakeEngine } from '../../examples/demo/fake-engine.ts'
import { Viewer } from '../../examples/demo/viewer.ts'
import { createProxy, type ProxyOptions, type StreamProxy } from '../../examples/proxy/server.ts'

export interface StageOptions {
  engineCount?: number
  fake?: FakeOrchestratorOptions
  client?: Partial<OrchestratorClientOptions>
  proxy?: Partial<ProxyOptions>
}

/** A proxy, a fake orchestrator and fake engines, all on real sockets. */
export interface Stage {
  fake: FakeOrchestrator
  engines: readonly FakeEngine[]
  client: OrchestratorClient
  proxy: StreamProxy
  url: string
  orchestratorUrl: string
}

/** Starts all parts, and stops them after the test. By default no further engine can be started, viewers do not wait, and streams do not linger. */
export async function stage({
  engineCount = 1,
  fake: fakeOptions,
  client: clientOptions,
  proxy: proxyOptions,
}: StageOptions = {}): Promise<Stage> {
  const engines = await Promise.all(Array.from({ length: engineCount }, startEngine))
  const fake = new FakeOrchestrator({ engines: engines.map(({ host, port }) => ({ host, port })), ...fakeOptions })
  fake.setProvisioning({ refuse: 'vpn_disconnected', etaSeconds: 17 })
  const server = await fake.listen()
  onTestFinished(() => server.close())
  const client = new OrchestratorClient({ baseUrl: server.url, apiKey: fake.apiKey, healthIntervalMs: 0, ...clientOptions })
  const status = { client, maxStreamsPerEngine: clientOptions?.maxStreamsPerEngine ?? 1, ...proxyOptions?.status }
  const { proxy, url } = await startProxy({ source: client, capacityTimeoutMs: 0, lingerMs: 0, ...proxyOptions, status })
  return { fake, engines, client, proxy, url, orchestratorUrl: server.url }
}

/** Starts a proxy without an orchestrator. By default each request for a playlist of HLS reaches the engine. */
export async function startProxy(options: ProxyOptions): Promise<{ proxy: StreamProxy; url: string }> {
  const proxy = createProxy({ playlistAgeMs: 0, ...options })
  const { url } = await proxy.listen({ host: '127.0.0.1' })
  onTestFinished(async () => void (await proxy.close({ timeoutMs: 1_000 })))
  return { proxy, url }
}

/** Starts an engine. */
export async function startEngine(): Promise<FakeEngine> {
  const engine = await FakeEngine.start()
  onTestFinished(() => engine.close())
  return engine
}

/** An infohash that is different for each number. */
export function infohash(number = 1): string {
  return number.toString(16).padStart(40, '0')
}

/** Starts a viewer, and waits for its first bytes or its refusal. */
export async function view(url: string, number = 1): Promise<Viewer> {
  const viewer = new Viewer(url, infohash(number), { minWatchMs: 0 })
  onTestFinished(() => viewer.leave())
  await viewer.answered
  return viewer
}

/** Waits for a condition, even on a slow machine. After five minutes the test fails. */
export function eventually(condition: () => void): Promise<void> {
  return vi.waitFor(condition, { timeout: 300_000, interval: 5 })
}

/** The engine that has a session. */
export function playing(engines: readonly FakeEngine[]): FakeEngine {
  const engine = engines.find(({ sessions }) => sessions.size > 0)
  if (engine === undefined) throw new Error('no engine plays')
  return engine
}

/** Checks that the viewer gets further bytes in the same response. */
export async function expectFurtherBytes(viewer: Viewer): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 50)) // bytes in flight have arrived by then
  const { bytes } = viewer
  await eventually(() => expect(viewer.bytes).toBeGreaterThan(bytes))
  expect(viewer.state).toBe('watching')
}
