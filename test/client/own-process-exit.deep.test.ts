import { FakeOrchestrator, GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { A_DAY, run } from './own-process.ts'

/** A program that makes the client start timers and open sockets, then runs `last`. It prints the state of its stream on exit. */
const host = (last: string) => `
  import { OrchestratorClient } from 'acestream-orchestrator-client'
  const client = new OrchestratorClient({ ...${JSON.stringify(A_DAY)}, baseUrl: process.argv[1], apiKey: process.argv[2] })
  await client.checkHealth()
  const lease = await client.acquireEngine()
  const stream = await lease.startStream({
    keyType: 'infohash',
    key: 'a'.repeat(40),
    session: { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' },
  })
  await client.acquireEngine() // never used
  ${last}
  process.on('exit', () => console.log(stream.state))
`

describe.each(GENERATIONS)('a process that uses a client of %s over real sockets', (generation) => {
  it.each([
    ['closed the client', 'await client.close()', 'ended'],
    ['forgot to close the client', '', 'live'],
    [
      'rejected the last caller that waited for an engine',
      'void client.acquireEngine({ provision: false, waitMs: 100 }).catch(() => {})',
      'live',
    ],
  ])('exits by itself after it %s, without waiting for any interval or time to live', async (_, last, state) => {
    const fake = new FakeOrchestrator({ generation, engines: 2 })
    await using server = await fake.listen()
    const { exit, output } = await run(host(last), [server.url, fake.apiKey])
    expect(exit).toBe(0)
    expect(output.trim()).toBe(state)
    expect(fake.liveStreamIds()).toHaveLength(state === 'live' ? 1 : 0)
  })
})
