/** Measures `openStream` and `joinStream` as `acquireEngine` is: in process, against the same calls by hand, and by the number of engines, contents and viewers. */
import type { OrchestratorClient } from 'acestream-orchestrator-client'
import { type Batch, inTurn, oneByOne } from './frame/measure.ts'
import type { Group, Row } from './frame/row.ts'
import { workOf } from './frame/work.ts'
import { acquireAll, connect, POOLS } from './pools.ts'
import { nextId, SESSION } from './stream-bodies.ts'

const FEW = 17
const MANY = 10_000
/** Contents that are open, and viewers of the content that is joined. */
const CROWD = 1_000
/** No viewer waits. */
const UNLIMITED = { maxStreamsPerEngine: 1_000_000 }

const open = async () => ({ session: SESSION, playback: undefined })

function openAndEnd(client: OrchestratorClient): Batch {
  return oneByOne(async () => {
    const id = nextId()
    const stream = await client.openStream({ keyType: 'infohash', key: id, streamId: id, open })
    await stream.end()
  })
}

/** What a host without `openStream` writes. */
function openByHand(client: OrchestratorClient): Batch {
  return oneByOne(async () => {
    const id = nextId()
    const lease = await client.acquireEngine()
    const { session } = await open()
    const stream = await lease.startStream({ keyType: 'infohash', key: id, streamId: id, session })
    await stream.end()
  })
}

const opened = async (engines: number) => openAndEnd((await connect(engines, UNLIMITED)).client)

const opening: Row = {
  id: 'open',
  what: 'openStream() and end(), in process',
  peer: 'acquireEngine(), startStream() and end() by hand',
  unit: 'µs',
  goal: 1.5,
  kind: 'timed',
  async measure() {
    const { client } = await connect(FEW, UNLIMITED)
    return inTurn(openAndEnd(client), openByHand(client))
  },
}

const openingMany: Row = {
  id: 'open-10000',
  what: 'openStream() and end(), 10,000 engines',
  peer: 'the same, 17 engines',
  unit: 'µs',
  goal: 1.5,
  kind: 'timed',
  measure: async () => inTurn(await opened(MANY), await opened(FEW)),
}

const openingWork: Row = {
  ...openingMany,
  id: 'open-work',
  what: 'code that runs for openStream() and end(), 10,000 engines',
  unit: 'characters',
  kind: 'counted',
  measure: async () => ({ cost: await workOf(await opened(MANY)), peer: await workOf(await opened(FEW)) }),
}

/** A further viewer of an open stream comes and leaves, while so many contents are open and the stream has so many viewers. */
async function joined(contents: number, viewers: number): Promise<Batch> {
  const { client } = await connect(FEW, UNLIMITED)
  const join = (content: number) => client.joinStream({ keyType: 'infohash', key: `content-${content}`, open })
  for (let content = 0; content < contents; content += 1) await join(content)
  await acquireAll(viewers, () => join(0))
  return oneByOne(async () => (await join(0)).leave())
}

const joining: Row = {
  id: 'join',
  what: 'joinStream() of an open stream, and leave()',
  peer: 'acquireEngine() and release(), 17 engines',
  unit: 'µs',
  goal: 1,
  kind: 'timed',
  miss: {
    upTo: 1.3,
    because: `Each join checks 16 options, which takes a quarter of its time; \`acquireEngine()\` has five. The rest of the cost is that of
acquiring: the figure is 0.95 to 1.1.`,
  },
  measure: async () => inTurn(await joined(1, 1), oneByOne(await POOLS['this client'](FEW))),
}

const CROWDED = { what: 'joinStream() and leave(), 1,000 contents and 1,000 viewers', peer: 'the same, 1 content and 1 viewer' }

const joiningMany: Row = {
  ...CROWDED,
  id: 'join-1000',
  unit: 'µs',
  goal: 1.5,
  kind: 'timed',
  measure: async () => inTurn(await joined(CROWD, CROWD), await joined(1, 1)),
}

const joiningWork: Row = {
  ...CROWDED,
  id: 'join-work',
  what: `code that runs for ${CROWDED.what}`,
  unit: 'characters',
  goal: 1.5,
  kind: 'counted',
  measure: async () => ({ cost: await workOf(await joined(CROWD, CROWD)), peer: await workOf(await joined(1, 1)) }),
}

export const playbacks: Group = {
  title: 'Playbacks',
  about: `\`openStream\` with an \`open\` that returns at once, against the calls that a host without it makes. A further viewer of a
stream that is open (\`joinStream\`) sends no request and takes no slot, whatever the number of viewers and of open contents. Goals:
opening costs at most a quarter more than the calls by hand; joining costs at most as much as acquiring.`,
  rows: [opening, openingMany, openingWork, joining, joiningMany, joiningWork],
}
