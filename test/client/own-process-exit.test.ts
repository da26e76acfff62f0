import { FakeOrchestrator, GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { run } from './own-process.ts'

/** Far below every interval and time-to-live of the client, far above what a slow machine needs to end a process. */
const PROMPT_MS = 4_000

/** Uses all that arms timers and opens sockets, then does \`last\`; prints how long the process lived on. */
const host = (last: string) => `
  import { OrchestratorClient } from 'acestream-orchestrator-client'
  const client = new OrchestratorClient({ baseUrl: process.argv[1], apiKey: process.argv[2] })
  await client.checkHealth()
  const lease = await client.acquireEngine()
  const stream = await lease.startStream({
    keyType: 'infohash',
    key: 'a'.repeat(40),
    session: { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' },
  })
  await client.acquireEngine() // never used
  ${last}
  const doneAt = performance.now()
  process.on('exit', () => console.log(JSON.stringify({ state: stream.state, livedOnMs: Math.round(performance.now() - doneAt) })))
`

describe.each(GENERATIONS)('a process that used a client of %s over real sockets', (generation) => {
  it.each([
    ['closed it', 'await client.close()', 'ended'],
    ['forgot to close it', '', 'live'],
    [
      'has sent away the last caller that waited for an engine',
      'void client.acquireEngine({ provision: false, waitMs: 100 }).catch(() => {})',
      'live',
    ],
  ])('and %s exits by itself, promptly', async (_, last, state) => {
    const fake = new FakeOrchestrator({ generation, engines: 2 })
    await using server = await fake.listen()
    const { exit, output } = await run(host(last), [server.url, fake.apiKey])
    expect(exit).toBe(0)
    const told = JSON.parse(output) as { state: string; livedOnMs: number }
    expect(told.state).toBe(state)
    expect(told.livedOnMs).toBeLessThan(PROMPT_MS)
    expect(fake.liveStreamIds()).toHaveLength(state === 'live' ? 1 : 0)
  })
})
