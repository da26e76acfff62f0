import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import { FakeOrchestrator, GENERATIONS, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startProcess } from '../examples/processes.ts'

const MOMENTS = 50
/** About as long as the 200 streams take. Some kills come before the first stream, some after the last. */
const LATEST_KILL_MS = 400
const FAULTS = ['lost-request', 'lost-answer', 'reset', 'reset-after', 'status'] as const

describe('a proxy that is killed while it starts 200 streams, and is restarted on the same state file', () => {
  it.each(Array.from({ length: MOMENTS }, (_, seed) => seed))(
    '[I5] ends all its streams once, and leaves none to the next process (moment %d)',
    async (seed) => {
      const random = seededRandom(seed + 1)
      const directory = mkdtempSync(join(tmpdir(), 'killed-'))
      onTestFinished(() => rmSync(directory, { recursive: true }))
      const path = join(directory, 'state.db')
      const fake = new FakeOrchestrator({ generation: GENERATIONS[seed % GENERATIONS.length] ?? 'v1', engines: 60, random })
      const innocent = fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '' })
      await using server = await fake.listen()
      // In every third run requests also fail at random.
      const routes = ['POST /events/stream_started', 'POST /events/stream_ended']
      if (seed % 3 === 0)
        for (const kind of FAULTS) fake.inject({ kind, route: routes, probability: 0.05, times: Number.POSITIVE_INFINITY })

      const proxy = startProcess(new URL('proxy-to-kill.ts', import.meta.url), [server.url, fake.apiKey, path, String(seed)])
      const crashed = proxy.exit.then((code) => Promise.reject(new Error(`it ended by itself, with ${code}: ${proxy.output()}`)))
      crashed.catch(() => {})
      while (!proxy.output().includes('ready')) await Promise.race([sleep(5), crashed])
      await sleep(random() * LATEST_KILL_MS)
      proxy.child.kill('SIGKILL')
      expect(await proxy.exit).toBe('SIGKILL')
      fake.clearFaults()

      const store = new SqliteStore({ path })
      const client = new OrchestratorClient({ baseUrl: server.url, apiKey: fake.apiKey, store, watch: false })
      await client.listEngines()
      while (fake.liveStreamIds().length > 1) await sleep(5)
      await client.flush()
      const { startsApplied, repeatedStarts, endsApplied, repeatedEnds, innocentsEnded } = fake.counters
      expect(fake.liveStreamIds()).toEqual([innocent])
      expect([endsApplied, repeatedEnds, innocentsEnded]).toEqual([startsApplied - repeatedStarts, 0, 0])
      await client.close()
      store.close()
      // The next process has nothing to recover.
      const next = new SqliteStore({ path })
      expect(next.recover()).toEqual([])
      next.close()
    },
  )
})
