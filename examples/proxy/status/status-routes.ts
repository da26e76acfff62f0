import { readFile } from 'node:fs/promises'
import { refuse } from '../answers.ts'
import type { Exchange, Route } from '../routes.ts'
import type { Feed } from './feed.ts'
import { PAGE_HEADERS, renderPage } from './page.ts'
import type { Status } from './state.ts'

/** When a page that was refused may try again. */
const RETRY_AFTER_MS = 5_000

/** The status page, its files, and its updates. */
export function statusRoutes(status: Status, feed: Feed): readonly Route[] {
  return [
    { path: '/', isFrequent: true, serve: (exchange) => sendPage(status, exchange) },
    { path: '/status.css', isFrequent: true, serve: ({ response }) => sendFile(response, 'page.css', 'text/css') },
    { path: '/status.js', isFrequent: true, serve: ({ response }) => sendFile(response, 'page.js', 'text/javascript') },
    { path: '/events', isFrequent: true, serve: (exchange) => sendUpdates(feed, exchange) },
  ]
}

async function sendPage(status: Status, { request, response }: Exchange): Promise<void> {
  // The URLs of the page are relative: at `/tv` they would lead out of `/tv/`.
  const [path = '', query] = (request.url ?? '').split('?')
  if (path.startsWith('/') && !path.endsWith('/')) {
    const location = `${path.slice(path.lastIndexOf('/') + 1)}/${query === undefined ? '' : `?${query}`}`
    return void response.writeHead(308, { location }).end()
  }
  send(response, renderPage(await status.read(), new Date()), 'text/html')
}

function sendUpdates(feed: Feed, { request, response }: Exchange): void {
  if (request.method === 'HEAD') return void response.writeHead(200, { 'content-type': 'text/event-stream' }).end()
  if (feed.isFull) {
    const retryAfterMs = RETRY_AFTER_MS
    return void refuse(response, { status: 503, reason: 'too_many_pages', error: 'too many status pages are open', retryAfterMs })
  }
  feed.add(response, PAGE_HEADERS)
}

async function sendFile(response: Exchange['response'], name: string, contentType: string): Promise<void> {
  send(response, await readFile(new URL(name, import.meta.url)), contentType)
}

function send(response: Exchange['response'], body: string | Buffer, contentType: string): void {
  const headers = { ...PAGE_HEADERS, 'content-type': `${contentType}; charset=utf-8`, 'content-length': Buffer.byteLength(body) }
  response.writeHead(200, headers).end(body)
}
