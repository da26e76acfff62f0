/** Measures streams in one process: without a network, so that only the client's own work counts. Also the engine list, which most calls read first. */
import type { OrchestratorClient } from 'acestream-orchestrator-client'
import type { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { inTurn, oneByOne } from './frame/measure.ts'
import type { Group, KnownMiss, Row } from './frame/row.ts'
import { connect } from './pools.ts'
import { bodiesOf, nextId, SESSION } from './stream-bodies.ts'

const ENGINES = 100
/** No viewer waits. */
const UNLIMITED = { maxStreamsPerEngine: 1_000_000 }

const ONE_CLOCK_READING = `Of about 0.09 µs above the peer, one reading of the clock has 0.05 µs. Each call needs it, or an expired list could be
served after a long block of the event loop. The checks of the call have the rest.`

const listing: Row = {
  id: 'list-engines',
  what: 'listEngines(), fresh, 100 engines',
  peer: 'an awaited async function',
  unit: 'µs',
  goal: 2,
  kind: 'timed',
  miss: { upTo: 3.6, because: ONE_CLOCK_READING },
  async measure() {
    const { client } = await connect(ENGINES)
    const engines = await client.listEngines()
    return inTurn(
      oneByOne(() => client.listEngines()),
      oneByOne(async () => engines),
    )
  },
}

/** Starts a stream on the first engine, and ends it. */
async function startAndEnd(client: OrchestratorClient) {
  const [engine = { host: '', port: 0 }] = await client.listEngines()
  return oneByOne(async () => {
    const id = nextId()
    const stream = await client.streamStarted({ keyType: 'infohash', key: id, session: SESSION, streamId: id, engine })
    await stream.end()
  })
}

/** The two requests of a stream, without a client. */
async function bareRequests(client: OrchestratorClient, fake: FakeOrchestrator) {
  const [{ host, port } = { host: '', port: 0 }] = await client.listEngines()
  const headers = { authorization: `Bearer ${fake.apiKey}`, 'content-type': 'application/json' }
  const post = (path: string, body: unknown) =>
    fake.request({ method: 'POST', url: new URL(path, 'http://orchestrator.test'), headers, body: JSON.stringify(body), timeoutMs: 3_000 })
  return oneByOne(async () => {
    const { started, ended } = bodiesOf(nextId(), { host, port })
    await post('/events/stream_started', started)
    await post('/events/stream_ended', ended)
  })
}

const STREAM_MISS: KnownMiss = {
  upTo: 4.3,
  because: `31 % is the fake orchestrator, which the requests by hand pay too. Carrying the two requests (URLs, JSON, time limits, abort
signals) has 22 %, their order and delivery 7 %, the record of ended ids 7 %, the life of the stream 9 %, ejection 2 %, garbage collection
and V8 14 %. No single part is large enough to reach the goal. Over HTTP the two requests cost eight times as much as all this.`,
}

const stream: Row = {
  id: 'stream',
  what: 'a stream started and ended, in process',
  peer: 'its two requests by hand',
  unit: 'µs',
  goal: 1.8,
  kind: 'timed',
  miss: STREAM_MISS,
  async measure() {
    const { client, fake } = await connect(ENGINES, UNLIMITED)
    return inTurn(await startAndEnd(client), await bareRequests(client, fake))
  },
}

export const streaming: Group = {
  title: 'Streams',
  about: `One call after the other against a fake orchestrator in the same process, without a network: what the client itself computes for
a stream. Over a network the requests cost much more than this: see [Requests](#requests).`,
  rows: [listing, stream],
}
