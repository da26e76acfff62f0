import { ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'
import { requestEngine } from '../../../src/engines/provisioning/provision-request.ts'
import { UnlistedEngines } from '../../../src/engines/provisioning/unlisted-engines.ts'
import type { Engine } from '../../../src/model/engine.ts'
import type { OrchestratorApi } from '../../../src/orchestrator/api.ts'
import { engineFromRecord } from '../../../src/orchestrator/listed-engines.ts'
import { silentLogger } from '../../../src/runtime/logger.ts'
import { Outages } from '../../../src/runtime/outages.ts'
import { Sequence } from '../../../src/runtime/sequence.ts'
import { Emitter } from '../../../src/telemetry/events.ts'
import { Counters } from '../../../src/telemetry/metrics.ts'

const engine = (containerId: string): Engine =>
  engineFromRecord({
    containerId,
    host: 'h',
    port: 1,
    healthStatus: 'healthy',
    forwarded: false,
    draining: false,
    streamIds: [],
    streamCount: 0,
    labels: {},
  })

it('of several requests to v1, the oldest gets the first new engine', () => {
  const unlisted = new UnlistedEngines(new ManualClock())
  const came: string[] = []
  unlisted.record([engine('old')], ({ containerId }) => came.push(`first: ${containerId}`))
  unlisted.record([engine('old')], ({ containerId }) => came.push(`second: ${containerId}`))
  unlisted.update([engine('old'), engine('a')])
  unlisted.update([engine('old'), engine('a'), engine('b')])
  expect(came).toEqual(['first: a', 'second: b'])
})

it('[I7] a request that has found its engine no longer checks each new list', async () => {
  const clock = new ManualClock()
  const listeners = new Set<(snapshot: { engines: Engine[] }) => void>()
  const engineList = {
    onRefresh: (listener: (snapshot: { engines: Engine[] }) => void) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
  }
  const parts = {
    api: { provision: () => new Promise(() => {}) } as unknown as OrchestratorApi,
    engineList: engineList as never,
    sequence: new Sequence(),
    clock,
    counters: new Counters(),
    emitter: new Emitter(silentLogger),
    outages: new Outages({ logger: silentLogger, clock }),
    lifetime: new AbortController().signal,
    provisionTimeoutMs: 60_000,
    countWaiting: () => 1,
  }
  const match = { isRequested: ({ containerId }: Engine) => containerId === 'new', waitAfterAnswer: () => new Promise<Engine>(() => {}) }
  const found = requestEngine(parts, {}, match)
  expect(listeners.size).toBe(1)
  for (const listener of listeners) listener({ engines: [engine('new')] })
  await expect(found).resolves.toMatchObject({ containerId: 'new' })
  expect(listeners.size).toBe(0)
})
