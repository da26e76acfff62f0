import { OrchestratorClient, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions } from 'acestream-orchestrator-client/testing'
import { onTestFinished, vi } from 'vitest'
import { FakeEngine } from '../../examples/demo/fake-engine.ts'
import { Viewer } from '../../examples/demo/viewer.ts'
import { createProxy, type ProxyOptions, type StreamProxy } from '../../examples/proxy/server.ts'

export interface StageOptions {
  engineCount?: number
  fake?: FakeOrchestratorOptions
  client?: Partial<OrchestratorClientOptions>
  proxy?: Partial<ProxyOptions>
}

/** A proxy, an orchestrator and engines, all on real sockets. */
export interface Stage {
  fake: FakeOrchestrator
  engines: readonly FakeEngine[]
  client: OrchestratorClient
  proxy: StreamProxy
  url: string
}

/** Sets all of it up; taken down when the test is over. Unless said otherwise no further engine is to be had, and nobody waits. */
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
  const { proxy, url } = await startProxy({ source: client, capacityTimeoutMs: 0, ...proxyOptions })
  return { fake, engines, client, proxy, url }
}

/** Starts a proxy alone. */
export async function startProxy(options: ProxyOptions): Promise<{ proxy: StreamProxy; url: string }> {
  const proxy = createProxy(options)
  const { url } = await proxy.listen({ host: '127.0.0.1' })
  onTestFinished(async () => void (await proxy.close({ timeoutMs: 1_000 })))
  return { proxy, url }
}

/** Starts an engine alone. */
export async function startEngine(): Promise<FakeEngine> {
  const engine = await FakeEngine.start()
  onTestFinished(() => engine.close())
  return engine
}

/** A content nobody else asks for. */
export function infohash(number = 1): string {
  return number.toString(16).padStart(40, '0')
}

/** A viewer who is being answered. */
export async function view(url: string, number = 1): Promise<Viewer> {
  const viewer = new Viewer(url, infohash(number))
  onTestFinished(() => viewer.leave())
  await viewer.answered
  return viewer
}

/** Waits for a condition, however slow the machine is; five minutes mean that it never comes true. */
export function eventually(condition: () => void): Promise<void> {
  return vi.waitFor(condition, { timeout: 300_000, interval: 5 })
}
