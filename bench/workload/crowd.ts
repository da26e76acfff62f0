/** Compares three clients on one workload: a crowd of viewers who come at once. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import ky from 'ky'
import { costUs, median } from '../frame/measure.ts'
import type { Line } from '../frame/row.ts'
import { acquireAll } from '../pools.ts'
import { CLIENTS, type Wire } from './clients.ts'
import type { Counts } from './server.ts'

const VIEWERS = 200
const LIMIT = 2
const ROUNDS = 3
const US_PER_MS = 1_000
const API_KEY = 'key-of-the-benchmark'

interface CrowdCost extends Counts {
  readonly cpuMs: number
  readonly wallMs: number
}

/** Measures until all viewers play. The server is new, and in a process of its own. */
async function crowdCost(name: string): Promise<CrowdCost> {
  const server = fork(new URL('./server.ts', import.meta.url))
  const [port] = (await once(server, 'message')) as [number]
  const http = ky.create({ headers: { authorization: `Bearer ${API_KEY}` } })
  const play = CLIENTS[name]?.({ baseUrl: `http://127.0.0.1:${port}`, apiKey: API_KEY, http }, LIMIT)
  if (play === undefined) throw new Error(`There is no client "${name}"`)
  let viewers = 0
  const ends: (() => Promise<unknown>)[] = []
  const { cpu, wall } = await costUs(async (size) => {
    ends.push(...(await acquireAll(size, () => play(`viewer-${++viewers}`))))
  }, VIEWERS)
  server.send('counts')
  const [counts] = (await once(server, 'message')) as [Counts]
  await Promise.all(ends.map((end) => end()))
  server.disconnect()
  return { ...counts, cpuMs: cpu / US_PER_MS, wallMs: wall / US_PER_MS }
}

/** The costs of each client: the median of three rounds, in which the clients take turns. */
export async function crowdLines(): Promise<Line[]> {
  const costs: Record<string, CrowdCost[]> = {}
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const name of Object.keys(CLIENTS)) costs[name] = [...(costs[name] ?? []), await crowdCost(name)]
  }
  return Object.entries(costs).map(([client, all]) => {
    const middle = (key: keyof CrowdCost): number => median(all.map((cost) => cost[key]))
    const fullest = `${middle('fullest')} of ${LIMIT}`
    return {
      client,
      requests: middle('requests'),
      'streams on the fullest engine': fullest,
      'wall, ms': middle('wallMs'),
      'CPU, ms': middle('cpuMs'),
    }
  })
}

/** Numbers of viewers for the plot. */
export const CROWDS = [1, 3, 10, 30, 100, 300, 1_000] as const

/** Requests per viewer until all of a crowd play, by client and for each of {@link CROWDS}, counted by a fake orchestrator with 100 engines. */
export async function requestsPerViewer(): Promise<Record<string, number[]>> {
  const result: Record<string, number[]> = {}
  for (const name of Object.keys(CLIENTS)) {
    result[name] = []
    for (const viewers of CROWDS) {
      const fake = new FakeOrchestrator({ engines: 100 })
      const play = CLIENTS[name]?.(wireOf(fake), viewers)
      if (play === undefined) continue
      await Promise.all(Array.from({ length: viewers }, (_, index) => play(`viewer-${index}`)))
      result[name]?.push(fake.counters.requests.total / viewers)
    }
  }
  return result
}

/** Sends the requests of `ky` to a fake orchestrator in this process. */
function wireOf(fake: FakeOrchestrator): Wire {
  const http = ky.create({
    headers: { authorization: `Bearer ${fake.apiKey}` },
    retry: 0,
    timeout: false,
    fetch: async (input, init) => {
      const request = new Request(input, init)
      const body = request.method === 'POST' ? { body: await request.text() } : {}
      const headers = Object.fromEntries(request.headers)
      const method = request.method === 'POST' ? 'POST' : 'GET'
      const answer = await fake.request({ method, url: new URL(request.url), headers, ...body, timeoutMs: 60_000 })
      return new Response(answer.body, { status: answer.status, headers: answer.headers })
    },
  })
  return { baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, http, transport: fake }
}
