import { once } from 'node:events'
import http, { type ClientRequest, type IncomingMessage } from 'node:http'
import type { Candidate } from 'acestream-orchestrator-client'
import { onTestFinished } from 'vitest'
import type { FakeEngine } from '../../examples/demo/fake-engine.ts'
import { type Setup, setup } from '../support/setup.ts'
import { infohash, startEngine } from './stage.ts'

/** Two engines on real sockets, and a client on a fake orchestrator that lists them. No further engine can be started. */
export interface TwoEngines extends Setup {
  /** The engine that gets the first viewer. */
  engine: FakeEngine
  /** The engine that gets a viewer if `engine` fails, failed with the same content, or is full. */
  second: FakeEngine
}

/** Starts the engines, and stops them after the test. */
export async function twoEngines(): Promise<TwoEngines> {
  const [engine, second] = [await startEngine(), await startEngine()]
  const rank = ({ engine: { port }, hasContent }: Candidate): number => Number(hasContent) * 2 + Number(port === second.port)
  const engines = [engine, second].map(({ host, port }) => ({ host, port }))
  const world = setup({ engines }, { rankEngines: (one, other) => rank(one) - rank(other) })
  world.fake.setProvisioning({ refuse: 'vpn_disconnected', etaSeconds: 45 })
  return { ...world, engine, second }
}

/** Asks a proxy for a content. The connection is closed when the test is over. */
export function ask(url: string, key = infohash()): ClientRequest {
  return get(`${url}?infohash=${key}`)
}

/** Requests a URL. The connection is closed when the test is over. */
export function get(url: string): ClientRequest {
  return closedAfterTest(http.get(url, { agent: false }))
}

/** Sends a request whose target is `target` exactly as given. The connection is closed when the test is over. */
export function send(url: string, method: string, target: string, headers: Record<string, string> = {}): ClientRequest {
  const { hostname, port } = new URL(url)
  return closedAfterTest(http.request({ hostname, port, method, path: target, headers, agent: false }).end())
}

function closedAfterTest(request: ClientRequest): ClientRequest {
  request.on('error', () => undefined)
  onTestFinished(() => void request.destroy())
  return request
}

/** The head of the answer. */
export async function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  answer.on('error', () => undefined)
  return answer
}

/** A viewer who has the first bytes. */
export async function watching(url: string, key?: string): Promise<{ answer: IncomingMessage; leave: () => void }> {
  const request = ask(url, key)
  const answer = await answerTo(request)
  await once(answer, 'data')
  return { answer, leave: () => void request.destroy() }
}
