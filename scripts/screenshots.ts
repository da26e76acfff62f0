// Writes the screenshots in docs/. Of the status page: a proxy with six fake engines, of which one is unhealthy, viewers of several contents,
// a content that is being opened, streams of another proxy, and viewers that wait. And the start page of the documentation site. Needs
// Chromium (`apt-get install chromium`).
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { FakeEngine } from '../examples/demo/fake-engine.ts'
import { Viewer } from '../examples/demo/viewer.ts'
import { createProxy } from '../examples/proxy/server.ts'
import { launchChromium, VIEWPORTS } from './chromium.ts'
import { buildSite } from './docs/build.ts'

const ENGINES = 6
const LIMIT = 3
const VIEWERS_OF_CONTENTS = [23, 11, 7, 4, 3, 2, 2, 1, 1, 1, 1, 1]
const DOCS = new URL('../docs/', import.meta.url)

const engines = await Promise.all(Array.from({ length: ENGINES }, () => FakeEngine.start()))
const named = engines.map(({ host, port }, index) => {
  const healthStatus: 'unhealthy' | 'healthy' = index === ENGINES - 1 ? 'unhealthy' : 'healthy'
  return { host, port, containerName: `acestream-${index + 1}`, healthStatus }
})
const fake = new FakeOrchestrator({ engines: named, provisionDelayMs: 600_000 })
const server = await fake.listen()
const client = new OrchestratorClient({ baseUrl: server.url, apiKey: fake.apiKey, maxStreamsPerEngine: LIMIT })
const proxy = createProxy({ source: client, capacityTimeoutMs: 60_000, status: { client, maxStreamsPerEngine: LIMIT, store: 'Redis' } })
const { url } = await proxy.listen({ host: '127.0.0.1' })
for (const { containerId } of fake.engines.slice(1, 3)) fake.startElsewhere({ containerId })
await client.checkHealth()

const viewers = VIEWERS_OF_CONTENTS.flatMap((count, content) => Array.from({ length: count }, () => watch(content)))
await Promise.all(viewers.map(({ answered }) => answered))
for (const engine of engines) engine.misbehaviour = 'hangs-after-head'
for (const content of [90, 91, 92, 92]) watch(content)

const browser = await launchChromium()
for (const [name, viewport] of Object.entries(VIEWPORTS)) {
  const colorScheme = name === 'phone' ? 'dark' : 'light'
  const page = await browser.newPage({ viewport, colorScheme, deviceScaleFactor: name === 'phone' ? 2 : 1 })
  await page.goto(url)
  await page.locator('#connection.live').waitFor()
  await page.locator('#waiting tbody tr').nth(1).waitFor()
  await page.screenshot({ path: fileURLToPath(new URL(`status-page-${name}.png`, DOCS)), fullPage: name === 'desktop' })
}
await proxy.close({ timeoutMs: 1_000 })
await server.close()
await Promise.all(engines.map((engine) => engine.close()))

const site = await mkdtemp(join(tmpdir(), 'site-'))
await buildSite(site)
const page = await browser.newPage({ viewport: VIEWPORTS.desktop, colorScheme: 'light' })
await page.goto(pathToFileURL(join(site, 'index.html')).href)
await page.locator('#tsd-nav-container .current').waitFor()
await page.screenshot({ path: fileURLToPath(new URL('site-start-page.png', DOCS)) })
await browser.close()
await rm(site, { recursive: true })

function watch(content: number): Viewer {
  return new Viewer(url, content.toString(16).padStart(40, '0'))
}
