/** A proxy process that starts and ends streams as fast as it can, until it is killed. */
import { OrchestratorClient, type StreamHandle } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { seededRandom } from 'acestream-orchestrator-client/testing'

const [, , baseUrl = '', apiKey = '', path = '', seed = '1'] = process.argv
const STREAMS = 200
const random = seededRandom(Number(seed))
const client = new OrchestratorClient({
  baseUrl,
  apiKey,
  store: new SqliteStore({ path }),
  maxStreamsPerEngine: 4,
  requestTimeoutMs: 2_000,
  watch: false,
})
const live: StreamHandle[] = []

async function play(index: number): Promise<void> {
  const session = `${seed}-${index}`
  const lease = await client.acquireEngine({ provision: false })
  const { host, port } = lease.engine
  const url = (kind: string): string => `http://${host}:${port}/ace/${kind}/${session}`
  const handle = await lease.startStream({
    keyType: 'infohash',
    key: index.toString(16).padStart(40, '0'),
    session: { playbackSessionId: session, statUrl: url('stat'), commandUrl: url('cmd') },
  })
  live.push(handle)
  if (random() < 0.5) return
  const [leaving] = live.splice(Math.floor(random() * live.length), 1)
  await leaving?.end('viewer_left')
}

await client.listEngines()
process.stdout.write('ready\n')
await Promise.all(Array.from({ length: STREAMS }, (_, index) => play(index)))
process.stdout.write('all started\n')
setInterval(() => {}, 1_000)
