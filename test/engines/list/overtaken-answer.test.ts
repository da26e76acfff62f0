import { ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'
import { EngineList } from '../../../src/engines/list/engine-list.ts'
import { ListCache } from '../../../src/engines/list/list-cache.ts'
import type { OrchestratorApi } from '../../../src/orchestrator/api.ts'
import type { ListedEngines } from '../../../src/orchestrator/listed-engines.ts'
import { engineFromRecord } from '../../../src/orchestrator/listed-engines.ts'
import { MemoryCache } from '../../../src/runtime/cache.ts'
import { silentLogger } from '../../../src/runtime/logger.ts'
import { Outages } from '../../../src/runtime/outages.ts'
import { Sequence } from '../../../src/runtime/sequence.ts'
import { SteadyClock } from '../../../src/runtime/steady-clock.ts'
import { Emitter } from '../../../src/telemetry/events.ts'
import { Counters } from '../../../src/telemetry/metrics.ts'
import { endedLedger } from '../../support/ended-ledger.ts'

const listWith = (containerId: string): ListedEngines => ({
  engines: [
    engineFromRecord({
      containerId,
      host: 'engine',
      port: 6878,
      healthStatus: 'healthy',
      forwarded: false,
      draining: false,
      streamIds: [],
      streamCount: 0,
      labels: {},
    }),
  ],
})

function setup() {
  const clock = new ManualClock()
  const sequence = new Sequence()
  const answers: ((list: ListedEngines | Error) => void)[] = []
  const listEngines = () =>
    new Promise<ListedEngines>((resolve, reject) => answers.push((list) => (list instanceof Error ? reject(list) : resolve(list))))
  const shared = {
    clock: SteadyClock.of(clock),
    sequence,
    logger: silentLogger,
    outages: new Outages({ logger: silentLogger, clock }),
    lifetime: new AbortController().signal,
  }
  const cache = new ListCache({ ...shared, cache: new MemoryCache(clock), key: 'list', ttlMs: 32_000 })
  const engineList = new EngineList({
    ...shared,
    cache,
    api: { listEngines } as unknown as OrchestratorApi,
    endedIds: endedLedger({ sequence }),
    counters: new Counters(),
    emitter: new Emitter(silentLogger),
    retry: { attempts: 1, baseDelayMs: 0, maxDelayMs: 0 },
    random: () => 0,
    cacheTtlMs: 2_000,
    staleIfErrorMs: 30_000,
    refreshWaitMs: 300,
  })
  return { engineList, sequence, answers, clock }
}

const idsOf = (snapshot: { engines: readonly { containerId: string }[] }) => snapshot.engines.map((engine) => engine.containerId)

it('an older list that arrives after a newer one does not replace it', async () => {
  const { engineList, sequence, answers } = setup()
  const slow = engineList.get()
  const fast = engineList.get({ newerThan: sequence.current })
  answers[1]?.(listWith('new'))
  expect(idsOf(await fast)).toEqual(['new'])
  answers[0]?.(listWith('old'))
  expect(idsOf(await slow)).toEqual(['new'])
  expect(idsOf(await engineList.get())).toEqual(['new'])
})

it('an older request that fails after a newer list arrived does not remove that list', async () => {
  const { engineList, sequence, answers } = setup()
  const slow = engineList.get().catch((error: unknown) => error)
  const fast = engineList.get({ newerThan: sequence.current })
  answers[1]?.(listWith('new'))
  await fast
  answers[0]?.(new Error('too late'))
  expect(await slow).toBeInstanceOf(Error)
  expect(idsOf(await engineList.get())).toEqual(['new'])
})

it('callers that need a newer list than the one under way share one request of their own', async () => {
  const { engineList, sequence, answers } = setup()
  const before = engineList.get()
  const number = sequence.current
  const first = engineList.get({ newerThan: number })
  const second = engineList.get({ newerThan: number })
  expect(answers).toHaveLength(2)
  for (const answer of answers) answer(listWith('same'))
  await Promise.all([before, first, second])
  expect(answers).toHaveLength(2)
})
