import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { type Started, startExample } from './processes.ts'
import { eventually, startEngine, view } from './stage.ts'

describe('the proxy as a process', () => {
  it.each([
    [{ ACEXY_PORT: 'eighty' }, 'ACEXY_PORT'],
    [{ ACEXY_M3U8: 'true' }, 'ACEXY_M3U8'],
    [{ ACEXY_ORCH_URL: 'ftp://orchestrator' }, 'baseUrl'],
    [{ ACEXY_ORCH_URL: 'http://orchestrator', ACEXY_MAX_STREAMS_PER_ENGINE: '0' }, 'ACEXY_MAX_STREAMS_PER_ENGINE'],
  ])('refuses %o with exit code 2, and says what is wrong', async (env: Record<string, string>, name) => {
    const { exit, output } = startExample('proxy/main.ts', [], { ACEXY_LISTEN_ADDR: '127.0.0.1:0', ...env })
    expect(await exit).toBe(2)
    expect(output()).toContain(name)
  })

  it('exits with 0 after SIGTERM, with its streams ended', async () => {
    const { port, sessions } = await startEngine()
    const fake = new FakeOrchestrator({ engines: [{ host: '127.0.0.1', port }], apiKey: 'a-secret-key' })
    await using server = await fake.listen()
    const { url, child, exit, output } = await listening({ ACEXY_ORCH_URL: server.url, ACEXY_ORCH_APIKEY: fake.apiKey })
    const viewer = await view(url)
    expect(viewer.state).toBe('watching')
    viewer.isOver = true
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
    expect(fake.liveStreamIds()).toEqual([])
    expect(sessions.size).toBe(0)
    expect(output()).not.toContain(fake.apiKey)
  })

  it('exits with 0 after SIGTERM, and logs the end that it could not deliver, though delivery would be tried for an hour', async () => {
    const { port } = await startEngine()
    const fake = new FakeOrchestrator({ engines: [{ host: '127.0.0.1', port }] })
    await using server = await fake.listen()
    const env = { ACEXY_ORCH_URL: server.url, ACEXY_ORCH_APIKEY: fake.apiKey, ACEXY_SHUTDOWN_TIMEOUT: '2s' }
    const { url, child, exit, output } = await listening(env)
    const viewer = await view(url)
    viewer.isOver = true
    await server.close()
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
    expect(output()).toContain(`"undelivered":[{"streamId":"${fake.liveStreamIds()[0]}","event":"ended"}]`)
  })

  it('plays from the one engine it was given where there is no orchestrator', async () => {
    const { port } = await startEngine()
    const { url } = await listening({ ACEXY_HOST: '127.0.0.1', ACEXY_PORT: `${port}` })
    expect((await view(url)).state).toBe('watching')
  })

  it('falls back to the engine it was given while the orchestrator cannot be reached', async () => {
    const { port } = await startEngine()
    const nobody = 'http://127.0.0.1:1'
    const { url } = await listening({ ACEXY_ORCH_URL: nobody, ACEXY_HOST: '127.0.0.1', ACEXY_PORT: `${port}` })
    expect((await view(url)).state).toBe('watching')
  })

  it('reaches engines under the host it was given, whatever the orchestrator calls it', async () => {
    const { port } = await startEngine()
    const fake = new FakeOrchestrator({ engines: [{ host: 'gluetun', port }] })
    await using server = await fake.listen()
    const { url } = await listening({ ACEXY_ORCH_URL: server.url, ACEXY_ORCH_APIKEY: fake.apiKey, ACEXY_ENGINE_HOST: '127.0.0.1' })
    expect((await view(url)).state).toBe('watching')
    expect(fake.engines).toMatchObject([{ host: 'gluetun', port, streamCount: 1 }])
  })
})

async function listening(env: Record<string, string>): Promise<Started & { url: string }> {
  const started = startExample('proxy/main.ts', [], { ACEXY_LISTEN_ADDR: '127.0.0.1:0', ACEXY_LOG_LEVEL: 'DEBUG', ...env })
  await eventually(() => expect(started.output()).toContain('"listening"'))
  return { ...started, url: /"url":"([^"]+)"/.exec(started.output())?.[1] ?? '' }
}
