import type { BrowserContextOptions, Page } from 'playwright-core'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { launchChromium, VIEWPORTS } from '../../scripts/chromium.ts'
import { get } from './player.ts'
import { eventually, infohash, type StageOptions, stage, view } from './stage.ts'

let browser: Awaited<ReturnType<typeof launchChromium>>

beforeAll(async () => {
  browser = await launchChromium()
  return () => browser.close()
})

/** Opens a page. After the test it must have reported no error, and have connected only to the proxy. */
async function open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: VIEWPORTS.desktop, ...options })
  const page = await context.newPage()
  const errors: string[] = []
  const hosts = new Set<string>()
  page.on('console', (message) => message.type() !== 'log' && errors.push(message.text()))
  page.on('pageerror', (error) => errors.push(error.message))
  page.on('request', (request) => request.url().startsWith('http') && hosts.add(new URL(request.url()).origin))
  onTestFinished(async () => {
    await context.close()
    expect(errors).toEqual([])
    expect([...hosts]).toEqual([url])
  })
  await page.goto(url)
  if (options.javaScriptEnabled !== false) await page.locator('#connection.live').waitFor()
  return page
}

const slots = (page: Page): Promise<(string | null)[]> =>
  page.locator('.tile .slot').evaluateAll((squares) => squares.map(({ title }) => title))
/** The value of a CSS property of the first element. The expression is a text: the types of a browser are unknown here. */
const style = (page: Page, selector: string, property: string): Promise<string> =>
  page.evaluate(`getComputedStyle(document.querySelector(${JSON.stringify(selector)})).getPropertyValue(${JSON.stringify(property)})`)

/** How much lighter or darker two colors are, by WCAG 2: 1 to 21. */
function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [one, other].map(luminance).toSorted((a, b) => b - a)
  return (light + 0.05) / (dark + 0.05)
}

function luminance(color: string): number {
  const [red = 0, green = 0, blue = 0] = [...color.matchAll(/\d+/g)].map(([digits]) => {
    const share = Number(digits) / 255
    return share <= 0.039_28 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

describe.each(Object.entries(VIEWPORTS))('the status page on a %s', (_, viewport) => {
  it('shows slots that fill and empty, without loading again', async () => {
    const { url } = await stage({ engineCount: 2, client: { maxStreamsPerEngine: 2 } })
    const page = await open(url, { viewport })
    await page.evaluate('document.body.dataset.loaded = "once"')
    expect(await slots(page)).toEqual(['free', 'free', 'free', 'free'])
    const square = page.locator('.tile .slot').first()
    const handle = await square.elementHandle()
    const viewers = await Promise.all([1, 2, 3, 4].map((number) => view(url, number)))
    await eventually(async () => expect(new Set(await slots(page))).toEqual(new Set(['used by this proxy'])))
    expect(await page.locator('#contents tbody tr').count()).toBe(4)
    // The same square has changed its fill, so that the change can be seen.
    expect(await handle?.evaluate((element) => [element.isConnected, element.className])).toEqual([true, 'slot own'])
    await Promise.all(viewers.map((viewer) => viewer.leave()))
    await eventually(async () => expect(await slots(page)).toEqual(['free', 'free', 'free', 'free']))
    expect(await page.locator('#contents').innerText()).toContain('Nothing is played.')
    expect(await page.locator('body').getAttribute('data-loaded')).toBe('once')
  })

  it('shows waiting viewers in their order, and long names without a horizontal scroll', async () => {
    const proxy: StageOptions['proxy'] = { capacityTimeoutMs: 600_000, status: { showsDetails: true } }
    const { url } = await stage({ proxy, fake: { engines: [], provisionDelayMs: 600_000 } })
    const keys = ['x'.repeat(256), infohash(1), 'short']
    for (const key of keys) {
      get(`${url}/content_id/${key}`)
      await eventually(async () => expect(await (await fetch(url)).text()).toContain(key))
    }
    const page = await open(url, { viewport })
    await eventually(async () => expect(await page.locator('#waiting tbody th').allInnerTexts()).toHaveLength(3))
    const names = (await page.locator('#waiting tbody th').allInnerTexts()).map((text) => text.replace(/\s.*/s, ''))
    expect(names).toEqual(keys)
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(viewport.width)
    expect(await page.locator('#engines').innerText()).toContain('No engine is listed.')
  })

  it('breaks only long names, and no number, state, time or name of an engine', async () => {
    const { url } = await stage({ proxy: { status: { showsDetails: true } } })
    await view(url)
    const page = await open(url, { viewport })
    // A text that is broken has more than one rectangle.
    const broken = `[...document.querySelectorAll('#contents th, #contents td')].filter((cell) => {
      const range = document.createRange()
      range.selectNodeContents(cell.firstChild)
      return range.getClientRects().length > 1
    }).map((cell) => cell.textContent)`
    expect(await page.evaluate(broken)).toEqual([`${infohash()}127.0.0.1`])
  })

  it.each(['light', 'dark'] as const)('has readable text in its %s colors', async (colorScheme) => {
    const { url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    await view(url)
    const page = await open(url, { viewport, colorScheme })
    const background = await style(page, 'html', 'background-color')
    expect(luminance(background) > 0.5).toBe(colorScheme === 'light')
    const card = await style(page, '.tile', 'background-color')
    for (const [selector, behind] of [
      ['h1', background],
      ['#connection', background],
      ['.legend', background],
      ['.tile h3', card],
      ['.tile .state', card],
      ['.figure .note', card],
      ['#log time', card],
      ['thead th', card],
    ] as const) {
      expect(contrast(await style(page, selector, 'color'), behind), selector).toBeGreaterThanOrEqual(4.5)
    }
  })
})

describe('the status page in a browser', () => {
  it('shows an open circuit by a word and a mark, not by its color alone', async () => {
    const { fake, client, url } = await stage({ client: { circuitBreaker: { failureThreshold: 1, resetAfterMs: 600_000 } } })
    const page = await open(url)
    fake.restart({ downMs: 600_000 })
    await expect(client.listEngines({ fresh: true })).rejects.toThrow()
    const figure = page.locator('.figure', { hasText: 'Circuit' })
    await eventually(async () => expect(await figure.innerText()).toMatch(/open\s+▲ no requests are sent/))
    expect(await page.locator('#log').innerText()).toContain('Warning: The orchestrator keeps failing.')
  })

  it('is a table without JavaScript', async () => {
    const { url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    await view(url)
    const page = await open(url, { javaScriptEnabled: false })
    expect(await page.locator('noscript table.engines tbody tr').allInnerTexts()).toEqual(['acestream-1\t1 of 2 in use\thealthy'])
    expect(await page.locator('.tiles').isVisible()).toBe(false)
    expect(await page.locator('#contents tbody tr').count()).toBe(1)
    // A refresh shows the newest state.
    await view(url, 2)
    await page.reload()
    expect(await page.locator('noscript table.engines tbody tr').allInnerTexts()).toEqual(['acestream-1\t2 of 2 in use\thealthy'])
  })

  it('shows keys and addresses only with details', async () => {
    const { client, url } = await stage()
    await view(url)
    const plain = await open(url)
    expect(await plain.locator('#contents tbody tr').innerText()).toMatch(/^[\da-f]{6}\s/)
    expect(await plain.content()).not.toMatch(new RegExp(`${infohash()}|127\\.0\\.0\\.1`))
    const detailed = await stage({ proxy: { status: { showsDetails: true } } })
    await view(detailed.url)
    const page = await open(detailed.url)
    expect(await page.locator('#contents tbody tr').innerText()).toContain(infohash())
    expect(await page.locator('#contents .addresses').innerText()).toBe('127.0.0.1')
    expect(client.metrics().streams.live).toBe(1)
  })

  it('runs no script of a content id', async () => {
    const { url } = await stage({ proxy: { status: { showsDetails: true } } })
    const page = await open(url)
    get(`${url}/content_id/${encodeURIComponent('<img src=x onerror="document.title=1"><script>document.title=2</script>')}`)
    await eventually(async () => expect(await page.locator('#contents').innerText()).toContain('<img src=x'))
    expect(await page.title()).toBe('AceStream proxy')
    expect(await page.locator('#contents img, #contents script').count()).toBe(0)
  })

  it('has landmarks, a name for each section and each engine, and no motion for people who do not want it', async () => {
    const { url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    const page = await open(url, { reducedMotion: 'reduce' })
    for (const role of ['banner', 'main', 'contentinfo'] as const) expect(await page.getByRole(role).count()).toBe(1)
    for (const name of ['Overview', 'Engines', 'Contents', 'Waiting viewers', 'Last events']) {
      expect(await page.getByRole('region', { name }).count(), name).toBe(1)
    }
    expect(await page.getByRole('img', { name: '0 of 2 in use' }).count()).toBe(1)
    expect(await style(page, '.tile .slot', 'transition-duration')).toBe('0s')
  })

  it('says since when it has no connection', async () => {
    const { proxy, url } = await stage()
    const context = await browser.newContext()
    onTestFinished(() => context.close())
    const page = await context.newPage()
    await page.goto(url)
    await page.locator('#connection.live').waitFor()
    await proxy.close({ timeoutMs: 1_000 })
    await page.locator('#connection.lost').waitFor()
    expect(await page.locator('#connection').innerText()).toMatch(/No connection since \d\d:\d\d:\d\d UTC$/)
  })
})
