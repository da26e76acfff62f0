import { once } from 'node:events'
import http, { type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** Answers a request for a path. `base` is the URL of the engine. */
export type Answers = (path: string, response: ServerResponse, base: string) => void

/** An engine whose answers the test writes, and the paths that it was asked for. */
export interface ScriptedEngine {
  readonly host: string
  readonly port: number
  readonly paths: string[]
}

/** Starts the engine, and stops it after the test. */
export async function scriptedEngine(answers: Answers): Promise<ScriptedEngine> {
  const paths: string[] = []
  const server = http.createServer((request: IncomingMessage, response: ServerResponse) => {
    const path = (request.url ?? '').replace(/\?.*/, '')
    paths.push(path)
    answers(path, response, `http://${request.headers.host}`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port, paths }
}

/** Answers of an engine that plays, except for the path of the playback. */
export function engineThat(playback: Answers, playbackUrl?: string): Answers {
  return (path, response, base) => {
    const urls = { playback_url: playbackUrl ?? `${base}/play`, stat_url: `${base}/stat`, command_url: `${base}/cmd` }
    if (path === '/ace/getstream' || path === '/ace/manifest.m3u8')
      response.end(JSON.stringify({ response: { ...urls, playback_session_id: 's' }, error: null }))
    else if (path === '/cmd') response.end(JSON.stringify({ response: 'ok', error: null }))
    else playback(path, response, base)
  }
}
