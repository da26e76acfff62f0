import { OrchestratorError, type StreamHandle } from 'acestream-orchestrator-client'
import type { Generation } from 'acestream-orchestrator-client/testing'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Case, REFUSING } from '../support/fault-cases.ts'
import { during, playback, type setup } from '../support/setup.ts'

const ENGINES = 3

/** Makes a client and its orchestrator: `setup()`, or the same over another transport. */
type Make = typeof setup

function makeWorld(make: Make, generation: Generation, reconcileIntervalMs: number) {
  const made = make(
    { generation, engines: ENGINES, maxReplicas: 10 },
    { maxStreamsPerEngine: 1, reconcileIntervalMs, provisionTimeoutMs: 10_000, random: () => 0.5 },
  )
  const foreign = made.fake.startElsewhere({ containerId: made.fake.engines[0]?.containerId ?? '' })
  return { ...made, foreign }
}

/** Awaits a call that may resolve, or reject with one of the library's errors. Such an error must not show the key. */
async function outcomeOf<T>(work: Promise<T>): Promise<T | undefined> {
  return work.catch((error: unknown) => {
    expect(error).toBeInstanceOf(OrchestratorError)
    expect(String(error)).not.toContain('testkey')
    return undefined
  })
}

/** Removes the faults and lets time pass. Checks that client and orchestrator agree then, and that no other stream was ended. */
async function checkRecovery({ client, fake, clock, foreign }: ReturnType<typeof makeWorld>, stream?: StreamHandle): Promise<void> {
  fake.clearFaults()
  await clock.advance(60_000)
  if (stream !== undefined) await during(clock, stream.end())
  await clock.advance(60_000)
  expect(fake.liveStreamIds()).toEqual([foreign])
  expect(fake.counters).toMatchObject({ innocentsEnded: 0, namesakesEnded: 0, enginesInvented: 0 })
  expect(Math.max(0, ...Object.values(fake.counters.peakLoad))).toBeLessThanOrEqual(1)
  expect(client.metrics()).toMatchObject({
    streams: { live: 0 },
    leases: { active: 0 },
    events: { pending: 0, misapplied: 0 },
    circuit: 'closed',
  })
  const closing = client.close({ timeoutMs: 0 })
  await clock.advance(1)
  await closing
  expect(clock.pendingCount).toBe(0)
}

const unhandled: unknown[] = []
const listener = (reason: unknown): void => void unhandled.push(reason)

/** Makes each test of the file fail in which a rejection is unhandled. Call it once per file. */
export function watchRejections(): void {
  beforeEach(() => void process.on('unhandledRejection', listener))
  afterEach(() => {
    process.off('unhandledRejection', listener)
    expect(unhandled.splice(0)).toEqual([])
  })
}

/** A row of the matrix: each kind of request fails `times` times with one fault. */
interface Row {
  make: Make
  generation: Generation
  fault: Case
  times: number
  /** A shorter interval makes more requests, so a fault can do harm more often, but the test is much slower. @default 5_000 */
  reconcileIntervalMs?: number
}

/** Registers the tests of one row. */
export function testRow({ make, generation, fault: [name, fault], times, reconcileIntervalMs = 5_000 }: Row): void {
  const world = () => makeWorld(make, generation, reconcileIntervalMs)
  // The orchestrator applies the request after the client has verified that it was not applied. The client has sent it again by then,
  // so it is applied twice. Reconciliation repairs that.
  const isLate = fault.applyLate === true
  const isRefusal = REFUSING.some(([refusal]) => refusal === name)

  it.each([
    ['the engine list', 'GET /engines'],
    ['the stream list', 'GET /streams'],
    ['the status', 'GET /orchestrator/status'],
  ])('a read of %s gets an answer or a typed error, and later reads work again', async (_, route) => {
    const made = world()
    const { client, fake, clock } = made
    fake.inject({ ...fault, route, times })
    const read = { 'GET /engines': () => client.listEngines(), 'GET /streams': () => client.listStreams() }[route]
    await during(clock, outcomeOf<unknown>(read === undefined ? client.checkHealth() : read()))
    fake.clearFaults()
    await clock.advance(11_000)
    expect(await during(clock, client.listEngines({ fresh: true }))).toHaveLength(ENGINES)
    await checkRecovery(made)
  })

  it('a start is applied once, or it is rejected and no end is sent', async () => {
    const made = world()
    const { client, fake, clock } = made
    const lease = await client.acquireEngine()
    fake.inject({ ...fault, route: 'POST /events/stream_started', times })
    const stream = await during(clock, outcomeOf(lease.startStream(playback())))
    await lease.release()
    expect(stream === undefined).toBe(isRefusal)
    if (stream !== undefined) {
      await clock.advance(60_000)
      expect(stream.state).toBe('live')
      expect(fake.liveStreamIds()).toContain(stream.id)
    }
    await checkRecovery(made, stream)
    const count = isRefusal ? 0 : 1
    if (!isLate) expect(fake.counters).toMatchObject({ startsApplied: count, endsApplied: count, repeatedStarts: 0, repeatedEnds: 0 })
    if (isRefusal) expect(fake.counters.requests.byRoute['POST /events/stream_ended']).toBeUndefined()
  })

  it('an end is applied once, or it is reported as undeliverable and the host can send it again', async () => {
    const made = world()
    const { client, fake, clock } = made
    const stream = await (await client.acquireEngine()).startStream(playback())
    fake.inject({ ...fault, route: 'POST /events/stream_ended', times })
    const { outcome } = await during(clock, stream.end())
    expect(outcome).toBe(isRefusal ? 'undeliverable' : 'delivered')
    if (isRefusal) {
      fake.clearFaults()
      expect(await during(clock, client.streamEnded(stream.id))).toMatchObject({ outcome: 'delivered' })
    }
    await checkRecovery(made)
    if (!isLate)
      expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1, repeatedStarts: 0, repeatedEnds: 0, endsMissed: 0 })
  })

  it('a request for an engine is sent once, and gets an engine or a typed error', async () => {
    const made = world()
    const { client, fake, clock } = made
    await client.listEngines()
    fake.inject({ ...fault, route: 'POST /provision/acestream', times })
    await during(clock, outcomeOf(client.provisionEngine()))
    expect(fake.counters.requests.byRoute['POST /provision/acestream']).toBe(1)
    await checkRecovery(made)
    expect(fake.engines.length).toBeLessThanOrEqual(ENGINES + 1)
  })
}
