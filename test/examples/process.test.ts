import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import { isWindows } from '../support/platform.ts'
import { type Started, startExample } from './processes.ts'
import { eventually, expectFurtherBytes, infohash, startEngine, view } from './stage.ts'

describe('the process of the proxy', () => {
  it.each([
    [{ ACEXY_PORT: 'eighty' }, 'ACEXY_PORT'],
    [{ ACEXY_M3U8: 'hls' }, 'ACEXY_M3U8'],
    [{ ACEXY_ORCH_URL: 'ftp://orchestrator' }, 'ACEXY_ORCH_URL'],
    [{ ACEXY_ORCH_URL: 'http://orchestrator', ACEXY_MAX_STREAMS_PER_ENGINE: '0' }, 'ACEXY_MAX_STREAMS_PER_ENGINE'],
  ])('exits with 2 for %o, and names the invalid setting', async (env: Record<string, string>, name) => {
    const { exit, output } = startExample('proxy/main.ts', [], { ACEXY_LISTEN_ADDR: '127.0.0.1:0', ...env })
    expect(await exit).toBe(2)
    expect(output()).toContain(name)
  })

  it('exits with 2 for an invalid setting, although it has opened a store whose Redis cannot be reached', async () => {
    const env = { ACEXY_STORE: 'redis://127.0.0.1:1', ACEXY_ORCH_URL: 'ftp://orchestrator' }
    const { exit, output } = startExample('proxy/main.ts', [], env)
    expect(await exit).toBe(2)
    expect(output()).toContain('ACEXY_ORCH_URL')
  })

  it.each([{}, { ACEXY_STORE: 'redis://127.0.0.1:1' }])(
    'exits with 1 if its port is in use, with %o',
    async (env: Record<string, string>) => {
      const { port } = await startEngine()
      const address = { ACEXY_LISTEN_ADDR: `127.0.0.1:${port}`, ACEXY_ORCH_URL: 'http://127.0.0.1:1' }
      const { exit, output } = startExample('proxy/main.ts', [], { ...address, ...env })
      expect(await exit).toBe(1)
      expect(output()).toContain('cannot listen')
    },
  )

  it.skipIf(isWindows)('ends its streams after SIGTERM and exits with 0', async () => {
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

  it.each([
    ['', false],
    ['true', true],
  ] as const)('shows the limit on its status page, and with ACEXY_STATUS_DETAILS=%j keys: %s', async (details, isShown) => {
    const { port } = await startEngine()
    const fake = new FakeOrchestrator({ engines: [{ host: '127.0.0.1', port }], apiKey: 'a-secret-key' })
    await using server = await fake.listen()
    const env = { ACEXY_ORCH_URL: server.url, ACEXY_ORCH_APIKEY: fake.apiKey, ACEXY_MAX_STREAMS_PER_ENGINE: '3' }
    const { url } = await listening({ ...env, ACEXY_STATUS_DETAILS: details })
    await view(url)
    const page = await (await fetch(url)).text()
    expect(page).toContain('1 of 3 in use')
    expect(page.includes(infohash())).toBe(isShown)
    expect(page).not.toContain(fake.apiKey)
  })

  it('shows the health of its orchestrator on its status page from its start', async () => {
    const fake = new FakeOrchestrator()
    await using server = await fake.listen()
    const { url } = await listening({ ACEXY_ORCH_URL: server.url, ACEXY_ORCH_APIKEY: fake.apiKey })
    await eventually(() => expect(fake.counters.requests.byRoute).toMatchObject({ 'GET /orchestrator/status': 1 }))
    const page = async (): Promise<string> => (await fetch(url)).text()
    await vi.waitFor(async () => expect(await page()).toContain('<dt>Orchestrator</dt><dd class="value">healthy'), { timeout: 300_000 })
  })

  it.skipIf(isWindows)('runs on if its orchestrator cannot be reached when it starts', async () => {
    const { url, child, exit, output } = await listening({ ACEXY_ORCH_URL: 'http://127.0.0.1:1' })
    await eventually(() => expect(output()).toContain("The orchestrator's health could not be read"))
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
  })

  it.skipIf(isWindows)('exits with 0 after SIGTERM within its time limit, and logs the end that it could not deliver', async () => {
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

  it.skipIf(isWindows)('lets a viewer watch on after SIGTERM, and exits when the viewer has left', async () => {
    const { port } = await startEngine()
    const { url, child, exit, output } = await listening({ ACEXY_HOST: '127.0.0.1', ACEXY_PORT: `${port}`, ACEXY_SHUTDOWN_TIMEOUT: '1h' })
    const viewer = await view(url)
    child.kill('SIGTERM')
    await eventually(() => expect(output()).toContain('"closing"'))
    await expectFurtherBytes(viewer)
    expect((await fetch(`${url}/readyz`)).status).toBe(503)
    await viewer.leave()
    expect(await exit).toBe(0)
  })

  it.skipIf(isWindows)('exits at once for a second signal that comes later than a second, although a viewer watches', async () => {
    const { port } = await startEngine()
    const { url, child, exit } = await listening({ ACEXY_HOST: '127.0.0.1', ACEXY_PORT: `${port}`, ACEXY_SHUTDOWN_TIMEOUT: '1h' })
    await view(url)
    await eventually(() => {
      child.kill('SIGINT')
      expect(child.exitCode).not.toBeNull()
    })
    expect(await exit).toBe(1)
  })

  it('plays from the configured engine if there is no orchestrator', async () => {
    const { port } = await startEngine()
    const { url } = await listening({ ACEXY_HOST: '127.0.0.1', ACEXY_PORT: `${port}` })
    expect((await view(url)).state).toBe('watching')
  })

  it('falls back to the configured engine while the orchestrator cannot be reached', async () => {
    const { port } = await startEngine()
    const unreachable = 'http://127.0.0.1:1'
    const { url } = await listening({ ACEXY_ORCH_URL: unreachable, ACEXY_HOST: '127.0.0.1', ACEXY_PORT: `${port}` })
    expect((await view(url)).state).toBe('watching')
  })

  it('reaches engines at ACEXY_ENGINE_HOST instead of the listed host', async () => {
    const { port } = await startEngine()
    const fake = new FakeOrchestrator({ engines: [{ host: 'gluetun', port }] })
    await using server = await fake.listen()
    const { url } = await listening({ ACEXY_ORCH_URL: server.url, ACEXY_ORCH_APIKEY: fake.apiKey, ACEXY_ENGINE_HOST: '127.0.0.1' })
    expect((await view(url)).state).toBe('watching')
    expect(fake.engines).toMatchObject([{ host: 'gluetun', port, streamCount: 1 }])
  })
})

const OWN_ENVIRONMENT = { ACEXY_LISTEN_ADDR: '127.0.0.1:0', ACEXY_LOG_LEVEL: 'DEBUG', ACEXY_SHUTDOWN_TIMEOUT: '5s' }

async function listening(env: Record<string, string>): Promise<Started & { url: string }> {
  const started = startExample('proxy/main.ts', [], { ...OWN_ENVIRONMENT, ...env })
  await eventually(() => expect(started.output()).toContain('"listening"'))
  return { ...started, url: /"url":"([^"]+)"/.exec(started.output())?.[1] ?? '' }
}
