import { expect, it } from 'vitest'
import { MalformedResponseError, OrchestratorClient } from '../../src/index.ts'
import { waitOneTurn } from '../../src/runtime/clock.ts'

/** Characters of an answer that is long. */
const LONG_TEXT = 1_000_000

const listOf = (key: string, streams: number): readonly object[] =>
  Array.from({ length: streams }, (_, index) => ({ id: `stream-${index}`, key, container_id: 'engine', status: 'started' }))

/** A client of an orchestrator that answers each request at once with this body. */
function clientOf(body: () => string): OrchestratorClient {
  const transport = { request: async () => ({ status: 200, headers: new Headers(), body: body() }) }
  const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, watch: false } as const
  return new OrchestratorClient({
    baseUrl: 'http://orchestrator.test',
    transport,
    dialect: 'unversioned',
    ...quiet,
    retry: { attempts: 1 },
  })
}

/** Turns of the event loop until `work` is over. */
async function turnsOf(work: Promise<unknown>): Promise<number> {
  let [turns, isOver] = [0, false]
  const over = (): void => {
    isOver = true
  }
  work.then(over, over)
  for (; !isOver; turns += 1) await waitOneTurn()
  return turns
}

it.each([
  [100, 1],
  [4_500, 3],
])('a long list of %i streams is parsed in one turn of the event loop and checked in turns for 2,000 each', async (streams, slices) => {
  let body = JSON.stringify(listOf('short', streams))
  const longKey = 'k'.repeat(LONG_TEXT / streams)
  const client = clientOf(() => body)
  await client.listStreams() // loads the code
  const shortTurns = await turnsOf(client.listStreams())
  body = JSON.stringify(listOf(longKey, streams))
  const listing = client.listStreams()
  expect(await turnsOf(listing)).toBe(shortTurns + 1 + slices)
  expect((await listing).map(({ key }) => key)).toEqual(Array.from({ length: streams }, () => longKey))
  await client.close()
})

it('a long answer that is no list, or no JSON, rejects as a short one does', async () => {
  let body = ''
  const client = clientOf(() => body)
  for (const long of [JSON.stringify({ streams: 'k'.repeat(2_000_000) }), `[${'k'.repeat(2_000_000)}`]) {
    const failures: unknown[] = []
    for (const text of [long, long.replace(/k+/, 'k')]) {
      body = text
      failures.push(await client.listStreams().catch((error: unknown) => error))
    }
    const [longFailure, shortFailure] = failures as Error[]
    expect(longFailure).toBeInstanceOf(MalformedResponseError)
    expect(longFailure?.message).toBe(shortFailure?.message)
  }
  await client.close()
})
