import { FAULT_KINDS, type FaultKind, GENERATIONS, type Generation } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { CASES } from '../support/fault-cases.ts'
import { mswServer, setupOnMsw } from '../support/msw.ts'
import { during, setup } from '../support/setup.ts'
import { testRow, watchRejections } from './matrix.ts'

const server = mswServer()
watchRejections()

const onMsw: typeof setup = (...options) => setupOnMsw(server, ...options)

/** The outcome of a call as its caller sees it, except the message, and the counts of requests. */
async function outcomeOf(made: ReturnType<typeof setup>, call: Promise<unknown>): Promise<unknown> {
  const outcome = await during(made.clock, call.then(Object, Object))
  const { name, code, status, maybeProcessed, retryable, retryAfterMs } = outcome
  const { enginesProvisioned, requests } = made.fake.counters
  return { name, code, status, maybeProcessed, retryable, retryAfterMs, enginesProvisioned, requests }
}

/** The outcomes of a read and of a request for an engine that fail with this fault. */
async function effectsOf(make: typeof setup, generation: Generation, kind: FaultKind): Promise<unknown> {
  const made = make({ generation, maxReplicas: 10 }, { retry: { attempts: 1 }, provisionTimeoutMs: 10_000, watch: false })
  await during(made.clock, made.client.listEngines())
  made.fake.inject({ kind, route: 'GET /streams' })
  made.fake.inject({ kind, route: 'POST /provision/acestream' })
  const { client } = made
  return [await outcomeOf(made, client.listStreams()), await outcomeOf(made, client.provisionEngine())]
}

// This fails for a new kind of fault that msw cannot express. Then exclude that kind here, with the reason, and test it on real sockets.
describe.each(GENERATIONS)('a fault of %s', (generation) => {
  it.each(FAULT_KINDS)('of the kind %s has the same effects over the default transport as in memory', async (kind) => {
    expect(await effectsOf(onMsw, generation, kind)).toEqual(await effectsOf(setup, generation, kind))
  })
})

// Each fault with each kind of request once; the generations take turns. The deep tests have every combination.
describe('over the default transport', () => {
  describe.each(CASES.map((fault, index) => ({ name: fault[0], fault, index })))('$name', ({ fault, index }) => {
    const generation = GENERATIONS[index % GENERATIONS.length] ?? 'v1'
    describe(generation, () => testRow({ make: onMsw, generation, fault, times: index % 2 === 0 ? 3 : 1, reconcileIntervalMs: 20_000 }))
  })
})
