import { once } from 'node:events'
import { StoreError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import type { EngineSource } from '../../examples/proxy/engine-source.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import type { ActiveSession } from '../../examples/proxy/status/activity.ts'
import type { EngineTile } from '../../examples/proxy/status/engine-tiles.ts'
import { renderPage } from '../../examples/proxy/status/page.ts'
import { rowsOf } from '../../examples/proxy/status/rows.ts'
import type { StatusOptions, StatusState } from '../../examples/proxy/status/state.ts'
import { answerTo, get, send, watching } from './player.ts'
import { eventually, infohash, type Stage, type StageOptions, stage, startEngine, startProxy, view } from './stage.ts'

async function pageOf(url: string): Promise<string> {
  return (await fetch(url)).text()
}

/** The text that a section of the page shows, without tags. */
function textOf(page: string, id: string): string {
  const [, section = ''] = new RegExp(`<div id="${id}">(.*?)(?:</div>(?:<noscript>.*?</noscript>)?</section>)`, 's').exec(page) ?? []
  return section
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()
}

function slotsOf(page: string): string[] {
  const [, tiles = ''] = /<ul class="tiles">(.*?)<\/ul>/s.exec(page) ?? []
  return [...tiles.matchAll(/class="slot (\w+)"/g)].map(([, slot = '']) => slot)
}

/** The state of a proxy without engines and viewers. */
const IDLE: StatusState = {
  viewers: 0,
  isClosing: false,
  figures: { rescued: 0, cutOff: 0, tooSlow: 0 },
  circuit: 'closed',
  health: { status: 'healthy', key: 'accepted', provisioning: { canProvision: true, shouldWait: false } },
  store: 'memory',
  storeFailsSince: undefined,
  engines: [],
  listFailure: undefined,
  contents: [],
  waiting: [],
  events: [],
}

/** An open page: the newest text of each section. */
async function openPage(url: string): Promise<{ sections: Record<string, string>; answer: Awaited<ReturnType<typeof answerTo>> }> {
  const answer = await answerTo(get(`${url}/events`))
  const sections: Record<string, string> = {}
  let rest = ''
  answer.setEncoding('utf8').on('data', (chunk: string) => {
    const messages = (rest + chunk).split('\n\n')
    rest = messages.pop() ?? ''
    for (const message of messages) {
      const [, data] = /^event: status\ndata: (.*)$/.exec(message) ?? []
      if (data !== undefined) Object.assign(sections, JSON.parse(data))
    }
  })
  return { sections, answer }
}

describe('the status page', () => {
  it('shows engines with their slots, the contents with their viewers, and the last events', async () => {
    const { fake, url } = await stage({ engineCount: 2, client: { maxStreamsPerEngine: 2 } })
    await view(url, 1)
    await view(url, 1)
    const containerId = fake.engines[1]?.containerId ?? ''
    fake.startElsewhere({ containerId: fake.engines[0]?.streamIds.length === 0 ? (fake.engines[0]?.containerId ?? '') : containerId })
    await eventually(async () => expect(slotsOf(await pageOf(url)).sort()).toEqual(['free', 'free', 'other', 'own']))
    const page = await pageOf(url)
    expect(textOf(page, 'summary')).toMatch(/Viewers 2 none is waiting Slots 2 \/ 4 on 2 engines Circuit closed/)
    expect(textOf(page, 'contents')).toMatch(/ [\da-f]{6} acestream-\d 2 playing \d\d:\d\d:\d\d$/)
    expect(textOf(page, 'waiting')).toBe('No viewer waits.')
    expect(textOf(page, 'log')).toMatch(/Content [\da-f]{6} started on acestream-\d\./)
  })

  it('shows the same engines as a table to a browser without JavaScript, and lets it load the page again', async () => {
    const { url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    await view(url)
    const page = await pageOf(url)
    const tables = [...page.matchAll(/<noscript>(.*?)<\/noscript>/gs)].map(([, inside]) => inside)
    expect(tables[0]).toBe('<meta http-equiv="refresh" content="5">')
    expect(tables[1]).toMatch(/<tr><th scope="row">acestream-1<\/th><td>1 of 2 in use<\/td><td>healthy<\/td><\/tr>/)
  })

  it('shows viewers that wait for a slot, in order of arrival', async () => {
    const { url, client } = await stage({ proxy: { capacityTimeoutMs: 600_000 } })
    await view(url, 1)
    for (const key of ['b', 'b', 'c']) get(`${url}/content_id/${key}`)
    await eventually(() => expect(client.metrics().leases.waiting).toBe(2))
    const page = await pageOf(url)
    expect(textOf(page, 'waiting')).toMatch(/1 [\da-f]{6} 2 \d\d:\d\d:\d\d 2 [\da-f]{6} 1 \d\d:\d\d:\d\d$/)
    expect(textOf(page, 'summary')).toContain('Viewers 4 ▲ 3 are waiting Slots 1 / 1 all in use on 1 engine ')
  })

  it('shows a viewer in the line if the last session of its content is still being stopped', () => {
    const content = { keyType: 'content_id', key: 'a', variant: undefined } as const
    const since = new Date(0)
    const session: ActiveSession = {
      content,
      engine: { host: 'engine', port: 1, containerId: '' },
      since,
      state: 'stopping',
      streamId: undefined,
      viewers: new Set(),
      visitors: new Map(),
    }
    const activity = { sessions: new Set([session]), waiting: new Set([{ content, address: undefined, since }]) }
    const { contents, waiting } = rowsOf(activity, { nameOf: ({ key }) => key, engineName: (id) => id, showsDetails: false })
    expect(contents.map(({ state, viewers }) => [state, viewers])).toEqual([['stopping', 0]])
    expect(waiting.map(({ name, viewers }) => [name, viewers])).toEqual([['a', 1]])
  })

  it('warns about waiting viewers if no healthy engine has a free slot', () => {
    const waiting = [{ name: 'a', since: new Date(0), viewers: 1, addresses: [] }]
    const engine: EngineTile = { id: 'a', name: 'a', health: 'unhealthy', isDraining: false, limit: 2, slots: ['own', 'free'] }
    const noteOf = (engines: readonly EngineTile[]): string =>
      textOf(renderPage({ ...IDLE, viewers: 1, waiting, engines }, new Date(0)), 'summary')
    expect(noteOf([engine])).toContain('Viewers 1 ▲ 1 is waiting Slots 1 / 2 on 1 engine ')
    expect(noteOf([{ ...engine, health: 'healthy', isDraining: true }])).toContain('▲ 1 is waiting')
    expect(noteOf([{ ...engine, health: 'healthy' }])).toContain('Viewers 1 1 is waiting')
  })

  it('shows that the circuit is open, and the last known engines', async () => {
    const { fake, client, url } = await stage({
      client: { circuitBreaker: { failureThreshold: 1, resetAfterMs: 600_000 }, cacheTtlMs: 0, staleIfErrorMs: 0 },
    })
    expect(slotsOf(await pageOf(url))).toEqual(['free'])
    fake.restart({ downMs: 600_000 })
    await expect(client.listEngines({ fresh: true })).rejects.toThrow()
    const page = await pageOf(url)
    expect(textOf(page, 'summary')).toMatch(/Circuit open ▲ no requests are sent Orchestrator failing ▲ requests to it fail/)
    expect(textOf(page, 'engines')).toContain('▲ The engine list cannot be read (CIRCUIT_OPEN). The last known list is shown. acestream-1')
    expect(textOf(page, 'log')).toContain('Warning: The orchestrator keeps failing. It gets no request for 600 s.')
  })

  it('works without an orchestrator', async () => {
    const engine = await startEngine()
    const { url } = await startProxy({ source: singleEngine(engine) })
    expect(textOf(await pageOf(url), 'engines')).toBe('There is no orchestrator. The engine is shown while it plays.')
    const { leave } = await watching(`${url}/ace/getstream`)
    const page = await pageOf(url)
    expect(textOf(page, 'engines')).toBe(`127.0.0.1:${engine.port} 1 in use not listed`)
    expect(textOf(page, 'contents')).toMatch(/ 1 playing /)
    leave()
  })

  it('shows since when the store fails, and that it works again', async () => {
    const failing = Object.assign(singleEngine(await startEngine()), { isFailing: true })
    const { joinStream } = failing
    const source: EngineSource = {
      ...failing,
      joinStream: (options) =>
        failing.isFailing ? Promise.reject(new StoreError('no store', { reason: 'unavailable' })) : joinStream(options),
    }
    const { url } = await startProxy({ source, status: { store: 'Redis' } })
    expect(textOf(await pageOf(url), 'summary')).toContain('Store Redis in order')
    expect((await answerTo(get(`${url}/content_id/a`))).statusCode).toBe(503)
    expect(textOf(await pageOf(url), 'summary')).toMatch(/Store Redis ▲ fails since \d\d:\d\d:\d\d/)
    failing.isFailing = false
    await answerTo(get(`${url}/content_id/a`))
    expect(textOf(await pageOf(url), 'summary')).toContain('Store Redis in order')
  })

  it('sends no request to the orchestrator, however often it is loaded', async () => {
    const { fake, url } = await stage({ client: { cacheTtlMs: 600_000 } })
    await view(url)
    const { total } = fake.counters.requests
    for (let load = 0; load < 20; load++) await pageOf(url)
    expect(fake.counters.requests.total).toBe(total)
  })

  it('opens no session and no page for HEAD', async () => {
    const { url } = await stage()
    const page = await answerTo(send(url, 'HEAD', '/'))
    expect([page.statusCode, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    const updates = await answerTo(send(url, 'HEAD', '/events'))
    expect(updates.headers['content-type']).toBe('text/event-stream')
    await once(updates.resume(), 'end')
  })

  it('loads nothing from elsewhere, allows no script or style in the page, and cannot be framed or read by other pages', async () => {
    const { url } = await stage()
    const answer = await fetch(url)
    const page = await answer.text()
    expect(answer.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';/,
    )
    expect(answer.headers.get('content-security-policy')).toMatch(/frame-ancestors 'none'$/)
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
    expect(page.replace(/href="data:[^"]*"/, '')).not.toMatch(
      /\shref="(?!status\.css")|src="(?!status\.js")|style=|<style|<script>|\bon\w+=/,
    )
    for (const [file, type] of [
      ['status.css', 'text/css'],
      ['status.js', 'text/javascript'],
    ]) {
      const asset = await fetch(`${url}/${file}`)
      expect([asset.status, asset.headers.get('content-type')]).toEqual([200, `${type}; charset=utf-8`])
      expect((await asset.text()).replaceAll('http://www.w3.org', '')).not.toMatch(/https?:\/\//)
    }
  })

  it('is at the base path with a slash at its end, so that its relative URLs work', async () => {
    const { url } = await stage({ proxy: { basePath: '/tv/live' } })
    const redirect = await fetch(`${url}/tv/live?a=b`, { redirect: 'manual' })
    expect([redirect.status, redirect.headers.get('location')]).toEqual([308, 'live/?a=b'])
    expect(await pageOf(`${url}/tv/live`)).toContain('<h1>')
    expect((await fetch(new URL('status.js', `${url}/tv/live/`))).status).toBe(200)
  })
})

describe('the open status page', () => {
  it('shows how slots fill and empty', async () => {
    const { url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    const { sections } = await openPage(url)
    const slots = (): string[] => slotsOf(sections['engines'] ?? '')
    await eventually(() => expect(slots()).toEqual(['free', 'free']))
    const first = await view(url, 1)
    await eventually(() => expect(slots()).toEqual(['own', 'free']))
    const second = await view(url, 2)
    await eventually(() => expect(slots()).toEqual(['own', 'own']))
    await Promise.all([first.leave(), second.leave()])
    await eventually(() => expect(slots()).toEqual(['free', 'free']))
    await eventually(() => expect(sections['log']).toMatch(/ ended: its last viewer has left\./))
  })

  it('shows a slot as being opened until the engine has sent the first bytes', async () => {
    const { engines, url } = await stage()
    for (const engine of engines) engine.misbehaviour = 'hangs-after-head'
    const { sections } = await openPage(url)
    get(`${url}/content_id/a`)
    await eventually(() => expect(slotsOf(sections['engines'] ?? '')).toEqual(['reserved']))
    // Its viewers wait for the engine, not for a slot.
    get(`${url}/content_id/a`)
    await eventually(async () => expect(textOf(await pageOf(url), 'contents')).toMatch(/ 2 opening \d\d:\d\d:\d\d$/))
    expect(textOf(await pageOf(url), 'summary')).toContain('Viewers 2 none is waiting')
    expect(textOf(await pageOf(url), 'waiting')).toBe('No viewer waits.')
  })

  it('is refused with a Retry-After if 32 others are open', async () => {
    const { url } = await stage()
    for (let page = 0; page < 32; page++) await openPage(url)
    const answer = await fetch(`${url}/events`)
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await answer.json()).toMatchObject({ reason: 'too_many_pages' })
  })

  it('does not delay a shutdown, and its updates end', async () => {
    const { proxy, url } = await stage()
    const { answer, sections } = await openPage(url)
    await eventually(() => expect(sections['summary']).toBeDefined())
    const ended = once(answer, 'end')
    await proxy.close({ timeoutMs: 60_000 })
    await ended
    expect(proxy.viewers).toBe(0)
  })
})

describe('what the status page tells about viewers', () => {
  /** Everything that a page shows while a viewer watches, another waits, and an engine fails. */
  async function everything(options: StatusOptions): Promise<{ shown: string; apiKey: string }> {
    const proxy: StageOptions['proxy'] = { capacityTimeoutMs: 600_000, status: options, isProxyTrusted: true }
    const world: Stage = await stage({ proxy })
    const headers = { 'x-forwarded-for': '203.0.113.7' }
    await answerTo(send(world.url, 'GET', `/infohash/${infohash(1)}`, headers))
    send(world.url, 'GET', '/content_id/secret-key', headers)
    await eventually(() => expect(world.client.metrics().leases.waiting).toBe(1))
    await eventually(async () => expect(await pageOf(world.url)).toContain('No new engine was started'))
    const { sections } = await openPage(world.url)
    await eventually(() => expect(sections['log']).toBeDefined())
    return { shown: (await pageOf(world.url)) + Object.values(sections).join(''), apiKey: world.fake.apiKey }
  }

  it('is no key, no address and no message of an error', async () => {
    const { shown, apiKey } = await everything({})
    for (const secret of [infohash(1), 'secret-key', '203.0.113.7', apiKey, 'http://127']) expect(shown).not.toContain(secret)
  })

  it('is all of it with details, but never the API key', async () => {
    const { shown, apiKey } = await everything({ showsDetails: true })
    for (const detail of [infohash(1), 'secret-key', '203.0.113.7', 'The orchestrator refused to start an engine: '])
      expect(shown).toContain(detail)
    expect(shown).not.toContain(apiKey)
  })

  it('runs no script that is a part of a name', async () => {
    const evil = `"><script>alert(1)</script><img src=x onerror='alert(2)'>&amp;`
    const at = new Date(0)
    const state: StatusState = {
      ...IDLE,
      health: { status: 'healthy', key: 'accepted', provisioning: { canProvision: false, code: evil, shouldWait: false } },
      store: evil,
      engines: [{ id: evil, name: evil, health: 'healthy', isDraining: false, limit: 1, slots: ['own'] }],
      listFailure: evil,
      contents: [{ name: evil, engine: evil, state: 'playing', since: at, viewers: 1, addresses: [evil] }],
      waiting: [{ name: evil, since: at, viewers: 1, addresses: [evil] }],
      events: [{ id: 1, at, level: 'warning', text: evil }],
    }
    const page = renderPage(state, at)
    const escaped = '&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&#39;alert(2)&#39;&gt;&amp;amp;'
    expect(page.split(escaped).length - 1).toBeGreaterThanOrEqual(13)
    expect(page.replaceAll(escaped, '')).not.toMatch(/alert\(|onerror/)
  })

  it('keeps a content id that is a script harmless on the real page', async () => {
    const { url } = await stage({ proxy: { status: { showsDetails: true } } })
    await answerTo(send(url, 'GET', '/content_id/%3Cscript%3Ealert(1)%3C%2Fscript%3E'))
    const page = await pageOf(url)
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;')
    expect(page).not.toContain('<script>')
  })
})
