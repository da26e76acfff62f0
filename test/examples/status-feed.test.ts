import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Feed, type FeedOptions } from '../../examples/proxy/status/feed.ts'
import { eventually } from './stage.ts'

/** A feed on a real socket. */
async function feedServer(options: FeedOptions): Promise<{ feed: Feed; open: () => Promise<IncomingMessage> }> {
  const feed = new Feed(options)
  const server = http.createServer((_, response) => feed.add(response, {})).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    feed.close()
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  async function open(): Promise<IncomingMessage> {
    const request = http.get({ host: '127.0.0.1', port, agent: false })
    onTestFinished(() => void request.destroy())
    const [answer] = (await once(request, 'response')) as [IncomingMessage]
    return answer.on('error', () => undefined).setEncoding('utf8')
  }
  return { feed, open }
}

/** Collects the updates of a page. */
function updatesOf(page: IncomingMessage): { updates: Record<string, string>[]; text: () => string } {
  const updates: Record<string, string>[] = []
  let text = ''
  let rest = ''
  page.on('data', (chunk: string) => {
    text += chunk
    rest += chunk
    const messages = rest.split('\n\n')
    rest = messages.pop() ?? ''
    for (const message of messages) {
      const [, data] = /^event: status\ndata: (.*)$/.exec(message) ?? []
      if (data !== undefined) updates.push(JSON.parse(data))
    }
  })
  return { updates, text: () => text }
}

describe('the updates of the status page', () => {
  it('are everything at first, and then only what has changed', async () => {
    const texts = { engines: 'one', log: 'nothing' }
    const { feed, open } = await feedServer({ render: async () => ({ ...texts }), intervalMs: 1, pollMs: 60_000 })
    const { updates } = updatesOf(await open())
    await eventually(() => expect(updates).toEqual([{ engines: 'one', log: 'nothing' }]))
    texts.log = 'a stream'
    feed.changed()
    await eventually(() => expect(updates.slice(1)).toEqual([{ log: 'a stream' }]))
    const { updates: later } = updatesOf(await open())
    await eventually(() => expect(later).toEqual([{ engines: 'one', log: 'a stream' }]))
    expect(updates).toHaveLength(2)
  })

  it('are rendered once for a thousand changes and all pages, and never without a page', async () => {
    let count = 0
    const { feed, open } = await feedServer({ render: async () => ({ count: String(++count) }), intervalMs: 600_000, pollMs: 600_000 })
    feed.changed()
    const [first, second] = [await open(), await open()].map(updatesOf)
    for (let change = 0; change < 1_000; change++) feed.changed()
    await eventually(() => expect(first?.updates).toEqual([{ count: '1' }]))
    expect(count).toBe(1)
    // The second page came within the interval. It shows the next update.
    expect(second?.updates.length).toBeLessThanOrEqual(1)
  })

  it('are read again and again, because not everything reports its changes', async () => {
    let count = 0
    const { open } = await feedServer({ render: async () => ({ count: String(++count) }), pollMs: 1, intervalMs: 1 })
    const { updates } = updatesOf(await open())
    await eventually(() => expect(updates.length).toBeGreaterThan(3))
  })

  it('stop when the last page is closed', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    let count = 0
    const { feed, open } = await feedServer({ render: async () => ({ count: String(++count) }) })
    const page = await open()
    await eventually(() => expect(count).toBeGreaterThan(0))
    expect(vi.getTimerCount()).toBe(1)
    page.destroy()
    await eventually(() => expect(feed.pageCount).toBe(0))
    feed.changed()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('begin at once for the next page, although the last one was closed while a change was due', async () => {
    const { feed, open } = await feedServer({ render: async () => ({ log: 'nothing' }), intervalMs: 600_000, pollMs: 600_000 })
    const page = await open()
    const { updates } = updatesOf(page)
    await eventually(() => expect(updates).toEqual([{ log: 'nothing' }]))
    feed.changed()
    page.destroy()
    await eventually(() => expect(feed.pageCount).toBe(0))
    const next = updatesOf(await open())
    await eventually(() => expect(next.updates).toEqual([{ log: 'nothing' }]))
  })

  it('are comments while nothing changes, so that no reverse proxy closes the connection', async () => {
    const { open } = await feedServer({ render: async () => ({ log: 'nothing' }), pollMs: 1, intervalMs: 1, heartbeatMs: 1 })
    const { updates, text } = updatesOf(await open())
    await eventually(() => expect(text()).toContain('\n\n:\n\n'))
    expect(updates).toEqual([{ log: 'nothing' }])
    expect(text()).toMatch(/^retry: 2000\n\n/)
  })

  it('are comments for an open page also while other pages are opened again and again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    onTestFinished(() => void vi.useRealTimers())
    const feed = new Feed({ render: async () => ({ log: 'nothing' }), heartbeatMs: 15_000 })
    const open = (): string[] => {
      const texts: string[] = []
      const write = (text: string): void => void texts.push(text)
      feed.add({ destroyed: false, writableLength: 0, writeHead: () => {}, once: () => {}, end: () => {}, write } as never, {})
      return texts
    }
    const page = open()
    for (let times = 0; times < 5; times++) {
      await vi.advanceTimersByTimeAsync(5_000)
      open()
    }
    expect(page.filter((text) => text === ':\n\n')).toHaveLength(1)
    feed.close()
  })

  it('end for a page that reads nothing, and the other pages continue', async () => {
    let count = 0
    const render = async () => ({ log: `${++count}${'x'.repeat(2 ** 20)}` })
    const { feed, open } = await feedServer({ render, pollMs: 1, intervalMs: 1, maxUnreadBytes: 2 ** 21 })
    const stuck = await open()
    stuck.pause()
    const { updates } = updatesOf(await open())
    await eventually(() => expect(feed.pageCount).toBe(1))
    const { length } = updates
    await eventually(() => expect(updates.length).toBeGreaterThan(length))
  })

  it('are for a limited number of pages', async () => {
    const { feed, open } = await feedServer({ render: async () => ({}), maxPages: 2 })
    await open()
    expect(feed.isFull).toBe(false)
    const second = await open()
    expect(feed.isFull).toBe(true)
    second.destroy()
    await eventually(() => expect(feed.isFull).toBe(false))
  })

  it('are for open connections only', async () => {
    const feed = new Feed({ render: async () => ({}) })
    const server = http.createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const request = http.get({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }).on('error', () => undefined)
    const [, response] = (await once(server, 'request')) as [IncomingMessage, http.ServerResponse]
    request.destroy()
    await once(response, 'close')
    feed.add(response, {})
    expect(feed.pageCount).toBe(0)
  })

  it('end when the proxy closes', async () => {
    const { feed, open } = await feedServer({ render: async () => ({ log: 'nothing' }) })
    const page = await open()
    page.resume()
    const ended = once(page, 'end')
    feed.close()
    await ended
    expect(feed.pageCount).toBe(0)
    expect(feed.isFull).toBe(true)
  })
})
