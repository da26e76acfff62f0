/** Measures long lists: decoding the engines, and reconciling live streams with the list of the orchestrator. */
import { FakeOrchestrator } from 'acestream-orchestrator-client/testing'
import { engineListFrom } from '../src/orchestrator/listed-engines.ts'
import { readEngineList } from '../src/orchestrator/wire-lists.ts'
import { inTurn, oneByOne } from './frame/measure.ts'
import type { Group, Row } from './frame/row.ts'
import { reconcileCosts } from './reconcile.ts'

const ENGINES = 1_000

/** The text of a list of 1,000 engines, as the orchestrator sends it. */
async function listText(): Promise<string> {
  const fake = new FakeOrchestrator({ engines: ENGINES })
  const url = new URL('http://orchestrator.test/engines')
  const answer = await fake.request({ method: 'GET', url, headers: { authorization: `Bearer ${fake.apiKey}` }, timeoutMs: 3_000 })
  return answer.body
}

const FROZEN_ENGINES = `It is 1.95 × in a process without \`ioredis\`, which the benchmark loads for other rows. Of the time above \`JSON.parse\`, the
getters of the dates have 28 %, their hidden values 15 %, freezing the stream ids and labels 18 %, parsing the dates 15 %, the map by id 10 %.`

const CHECKED_STREAMS = `The floor reads no list. Of 20 ms without \`JSON.parse\`, reading and checking 10,000 streams has 4.4 ms, half of it for the hidden
microseconds of each start; comparing has 4 ms, the map by id 2 ms, the engines and their stream ids 2 ms. The rest is mostly garbage collection.`

const decoding: Row = {
  id: 'decoding',
  what: 'a list of 1,000 engines, from the text to the validated engines',
  peer: 'JSON.parse of it',
  unit: 'µs',
  goal: 2,
  kind: 'timed',
  miss: { upTo: 3, because: FROZEN_ENGINES },
  async measure() {
    const text = await listText()
    return inTurn(
      oneByOne(() => engineListFrom(readEngineList(JSON.parse(text)), undefined, () => {})),
      oneByOne(() => JSON.parse(text)),
    )
  },
}

const reconciling: Row = {
  id: 'reconcile',
  what: 'reconcile() of 10,000 live streams, without JSON.parse of the lists',
  peer: 'one pass over two maps',
  unit: 'ms',
  goal: 2,
  kind: 'timed',
  miss: { upTo: 8.4, because: CHECKED_STREAMS },
  async measure() {
    const { costMs, floorMs } = await reconcileCosts()
    return { cost: costMs, peer: floorMs }
  },
}

const slices: Row = {
  id: 'reconcile-slice',
  what: 'reconcile() of 10,000 live streams: longest block of the event loop',
  unit: 'ms',
  goal: 10,
  kind: 'timed',
  async measure() {
    return { cost: (await reconcileCosts()).longestBlockMs }
  },
}

export const lists: Group = {
  title: 'Long lists',
  about: `Decoding starts with the text of an answer and ends with engines whose fields were checked. The floor is \`JSON.parse\` alone,
which checks nothing. A reconciliation reads the lists of the orchestrator and compares 10,000 live streams with them, 10 of which are
missing there. Its CPU time is that of \`reconcile()\` less that of \`JSON.parse\` of the same texts. In between the event loop serves
viewers, so no part of it may take long.`,
  rows: [decoding, reconciling, slices],
}
