import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, posix, sep } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { inflateSync } from 'node:zlib'
import type { Page } from 'playwright-core'
import ts from 'typescript'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { launchChromium, VIEWPORTS } from '../../scripts/chromium.ts'
import { ENTRY_POINTS, PAGES } from '../../scripts/docs/contents.ts'
import { ROOT } from './pages.ts'
import { brokenLinks, foreignResources, reachableFrom } from './site-links.ts'

const folder = mkdtempSync(join(tmpdir(), 'site-'))
const files = new Map<string, string>()
let browser: Awaited<ReturnType<typeof launchChromium>>

beforeAll(async () => {
  await promisify(execFile)(process.execPath, ['scripts/docs/main.ts', folder], { cwd: ROOT })
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const isText = /\.(html|css)$/.test(path)
    files.set(path.slice(folder.length + 1).replaceAll(sep, '/'), isText ? readFileSync(path, 'utf8') : '')
  }
  browser = await launchChromium()
  return async () => {
    await browser.close()
    rmSync(folder, { recursive: true })
  }
})

/** The address of a page of {@link PAGES}. */
const addressOf = (file: string): string => file.toLowerCase().replace(/(readme)?\.md$/, (_, isIndex) => (isIndex ? 'index.html' : '.html'))

const htmlPages = (): string[] => [...files.keys()].filter((path) => path.endsWith('.html'))

/** The data that a script of the site holds: base64 of a compressed JSON text. */
function dataOf(script: string): unknown {
  const [, data = ''] = /"([\w+/=]+)"/.exec(readFileSync(join(folder, 'assets', script), 'utf8')) ?? []
  return JSON.parse(inflateSync(Buffer.from(data, 'base64')).toString('utf8'))
}

interface MenuEntry {
  readonly text: string
  readonly path?: string
  readonly children?: readonly MenuEntry[]
}

const linksOf = (entries: readonly MenuEntry[]): string[] =>
  entries.flatMap(({ path, children = [] }) => [...(path === undefined ? [] : [path]), ...linksOf(children)])

/** The names that a user can import from each entry point, values and types, by its file. */
function exportsByFile(): Map<string, string[]> {
  const paths = Object.values(ENTRY_POINTS).map((file) => ROOT + file)
  const { options } = ts.parseJsonConfigFileContent(ts.readConfigFile(`${ROOT}tsconfig.json`, ts.sys.readFile).config, ts.sys, ROOT)
  const program = ts.createProgram(paths, options)
  const checker = program.getTypeChecker()
  const namesIn = (path: string): string[] => {
    const source = program.getSourceFile(path)
    const module = source && checker.getSymbolAtLocation(source)
    return module === undefined ? [] : checker.getExportsOfModule(module).map(({ name }) => name)
  }
  return new Map(paths.map((path) => [path.slice(ROOT.length), namesIn(path)]))
}

describe('the documentation site', () => {
  it('has no link, image or menu entry that leads nowhere', () => {
    expect(htmlPages().length).toBeGreaterThan(150)
    expect(brokenLinks(files)).toEqual([])
    const menu = linksOf(dataOf('navigation.js') as MenuEntry[])
    const { rows } = dataOf('search.js') as { rows: readonly { url: string }[] }
    const targets = [...menu, ...rows.map(({ url }) => url)].map((url) => url.split('#')[0] ?? '')
    expect(targets.length).toBeGreaterThan(500)
    expect(targets.filter((path) => !files.has(path))).toEqual([])
  })

  it('has every page of docs/, each in the menu, and reachable from the start page by links in the text', () => {
    const pages = readdirSync(`${ROOT}docs`).filter((name) => name.endsWith('.md'))
    expect(PAGES.map(({ file }) => file)).toEqual(expect.arrayContaining(pages.map((name) => `docs/${name}`)))
    // The list of all pages, which each page links to above its menu, is no link in the text.
    const reachable = reachableFrom('index.html', new Map([...files].filter(([path]) => path !== 'modules.html')))
    const menu = linksOf(dataOf('navigation.js') as MenuEntry[])
    for (const { file } of PAGES) {
      expect(reachable, `${file} is not linked`).toContain(addressOf(file))
      expect(menu, `${file} is not in the menu`).toContain(addressOf(file))
    }
  })

  it('loads nothing from another host, and names no file from the root of its own', () => {
    expect(foreignResources(files)).toEqual([])
  })

  it('names each parameter as the doc comments do', () => {
    expect([...files].filter(([, html]) => html.includes('__namedParameters')).map(([path]) => path)).toEqual([])
  })

  it('has a page for each export of each entry point, and names the entry point as a user imports it', () => {
    const exported = exportsByFile()
    for (const [name, file] of Object.entries(ENTRY_POINTS)) {
      const html = files.get(`api/${name.split('/')[1] ?? 'main'}.html`) ?? ''
      const [, title] = /<h1>([^<]+)/.exec(html) ?? []
      expect(title).toBe(`Entry point ${name}`)
      const names = exported.get(file) ?? []
      expect(names.length, name).toBeGreaterThan(0)
      const linked = [...html.matchAll(/href="([^"#]+)"/g)].map(([, link = '']) => link)
      // A type that two entry points export has one page, which both link to.
      const hasPage = (one: string): boolean => linked.some((link) => link.endsWith(`/${one}.html`) && files.has(posix.join('api', link)))
      expect(
        names.filter((one) => !hasPage(one)),
        name,
      ).toEqual([])
    }
  })
})

/** Opens the start page, and follows the menu to the page of the stores. What the page requests and reports is kept. */
async function visit(url: string, viewport: keyof typeof VIEWPORTS): Promise<{ page: Page; requested: Set<string>; errors: string[] }> {
  const page = await browser.newPage({ viewport: VIEWPORTS[viewport] })
  onTestFinished(() => page.close())
  const requested = new Set<string>()
  const errors: string[] = []
  page.on('request', (request) => requested.add(request.url()))
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
  page.on('pageerror', (error) => errors.push(error.message))
  await page.goto(url)
  if (viewport === 'phone') await page.locator('#tsd-toolbar-menu-trigger').click()
  await page.locator('#tsd-nav-container').getByText('Stores and fleets').click()
  await page.locator('h1', { hasText: 'Stores' }).waitFor()
  return { page, requested, errors }
}

describe.each(['desktop', 'phone'] as const)('the documentation site in a browser on a %s', (viewport) => {
  it('works from the file system', async () => {
    const root = pathToFileURL(`${folder}/`).href
    const { page, requested } = await visit(`${root}index.html`, viewport)
    expect(page.url()).toBe(`${root}docs/stores.html`)
    expect([...requested].filter((url) => !url.startsWith(root) && !url.startsWith('data:'))).toEqual([])
  })

  it('works under any path of a server', async () => {
    const server = createServer(({ url = '' }, answer) => {
      const [path = ''] = url.slice('/some/path/'.length).split('?')
      const isThere = url.startsWith('/some/path/') && files.has(path)
      const type = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml', png: 'image/png' }[
        path.split('.').at(-1) ?? ''
      ]
      answer.writeHead(isThere ? 200 : 404, { 'content-type': type ?? 'text/plain' }).end(isThere ? readFileSync(join(folder, path)) : '')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const root = `http://127.0.0.1:${(server.address() as AddressInfo).port}/some/path/`
    const { page, requested, errors } = await visit(`${root}index.html`, viewport)
    expect(page.url()).toBe(`${root}docs/stores.html`)
    expect(errors).toEqual([])
    expect([...requested].filter((url) => !url.startsWith(root) && !url.startsWith('data:'))).toEqual([])
  })

  it('shows its pictures, and scrolls wide tables and code instead of the page', async () => {
    const page = await browser.newPage({ viewport: VIEWPORTS[viewport] })
    onTestFinished(() => page.close())
    for (const path of ['index.html', ...PAGES.map(({ file }) => addressOf(file)), 'api/main/OrchestratorClient.html']) {
      await page.goto(pathToFileURL(join(folder, path)).href, { waitUntil: 'load' })
      await page.locator('#tsd-nav-container a').first().waitFor({ state: 'attached' })
      const seen =
        '[document.documentElement.scrollWidth - innerWidth, [...document.images].filter((one) => one.naturalWidth === 0).length]'
      expect(await page.evaluate(seen), path).toEqual([0, 0])
    }
  })
})

describe('a table with five columns', () => {
  it('fits beside both menus on a laptop', async () => {
    const page = await browser.newPage({ viewport: VIEWPORTS.desktop })
    onTestFinished(() => page.close())
    await page.goto(pathToFileURL(join(folder, 'docs/playbacks.html')).href)
    const seen =
      '[...document.querySelectorAll(".wide")].map((one) => [one.querySelectorAll("th").length, one.scrollWidth - one.clientWidth])'
    const tables: [columnCount: number, hidden: number][] = await page.evaluate(seen)
    expect(tables).toContainEqual([5, 0])
    expect(tables.filter(([, hidden]) => hidden > 0)).toEqual([])
  })
})
