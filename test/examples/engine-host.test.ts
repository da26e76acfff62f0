import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { expect, it, onTestFinished } from 'vitest'
import { OtherStream } from '../../examples/demo/other-stream.ts'
import { proxyEnvironment } from '../../examples/demo/proxy-environment.ts'
import { readConfig } from '../../examples/proxy/config.ts'
import { startEngine } from './stage.ts'

it.each(['2025-10', '2026-04', 'v1'] as const)(
  'the demo plays its own stream through ACEXY_ENGINE_HOST if %s lists engines under names of its Docker network',
  async (generation) => {
    const engine = await startEngine()
    const fake = new FakeOrchestrator({ generation, engines: [{ host: 'acestream-1', port: engine.port }] })
    const server = await fake.listen()
    onTestFinished(() => server.close())
    const world = { url: server.url, apiKey: fake.apiKey, engineHost: engine.host }
    {
      await using otherStream = await OtherStream.start(world)
      expect(fake.liveStreamIds(fake.engines[0]?.containerId)).toEqual([otherStream.streamId])
      // The start did not change the listed address of the engine (H7).
      expect(fake.engines).toMatchObject([{ host: 'acestream-1', port: engine.port }])
    }
    expect(fake.liveStreamIds()).toEqual([])
  },
)

it('the proxy of the demo uses the engine host of the demo, and ignores the one of the shell', () => {
  const settings = { limit: 2, capacityTimeoutMs: 1_000 }
  const here = { url: 'http://127.0.0.1:8000', apiKey: 'k' }
  const hostFor = (engineHost: string | undefined) =>
    readConfig({ ACEXY_ENGINE_HOST: 'of-the-shell', ...proxyEnvironment({ ...here, engineHost }, settings) }).engineHost
  expect([hostFor('docker-host'), hostFor(undefined)]).toEqual(['docker-host', undefined])
})
