import type { Cache } from 'acestream-orchestrator-client'
import { playback } from '../support/setup.ts'
import type { TimedState, World } from './timed-world.ts'

const EVERY_TIME = { times: Number.POSITIVE_INFINITY }
const outcomeOf = (error: unknown): string => {
  const { code, reason, waitedMs, retryAfterMs } = error as { [key in 'code' | 'reason' | 'waitedMs' | 'retryAfterMs']?: unknown }
  return `${code} ${reason} waited ${waitedMs} retry ${retryAfterMs}`
}
const start = async ({ client }: World, session?: string) => (await client.acquireEngine()).startStream(playback(undefined, session))

/** A cache that keeps JSON text, as a cache outside the process does. */
const texts = new Map<string, string>()
const copyingCache: Cache = {
  get: (key) => JSON.parse(texts.get(key) ?? 'null'),
  set: (key, value) => void texts.set(key, JSON.stringify(value)),
  delete: (key) => texts.delete(key),
}

/** Every state of a client that ends by itself after some time. */
export const TIMED_STATES: readonly TimedState[] = [
  {
    name: 'an open circuit',
    fake: { engines: 1 },
    client: { circuitBreaker: { failureThreshold: 1 } },
    notes: ['5000 CIRCUIT_OPEN undefined waited undefined retry 5000', '10000 closed after 10000', '10000 POST /events/stream_ended'],
    async run(world) {
      const { client, fake, note, pass, clock } = world
      const stream = await start(world)
      client.on('circuit:closed', ({ openMs }) => note(`closed after ${openMs}`))
      fake.inject({ kind: 'refused' })
      void stream.end()
      clock.setTimeout(() => void client.listStreams().catch((error: unknown) => note(outcomeOf(error))), 5_000)
      await pass(12_000)
    },
  },
  {
    name: 'a lease of 60 s with a waiting caller',
    fake: { engines: 1 },
    notes: ['60000 next'],
    async run({ client, note, pass }) {
      await client.acquireEngine()
      void client.acquireEngine({ waitMs: 120_000, provision: false }).then(() => note('next'))
      await pass(90_000)
    },
  },
  {
    name: 'a lease of 60 s without a waiting caller',
    fake: { engines: 1 },
    client: { sweepIntervalMs: 7_000 },
    notes: ['59000 held 1', '60000 held 0'],
    async run({ client, note, watch }) {
      await client.acquireEngine()
      await watch(62_000, 1_000, () => note(`held ${client.metrics().leases.active}`))
    },
  },
  {
    name: 'the pause of 5 s after a refusal that says when to retry',
    fake: { engines: 0, generation: '2026-04' },
    client: { dialect: 'unversioned', cacheTtlMs: 500 },
    notes: ['0 POST /provision/acestream', '5000 POST /provision/acestream'],
    async run({ client, fake, pass }) {
      fake.setProvisioning({ refuse: 'vpn_error', etaSeconds: 5 })
      client.acquireEngine({ waitMs: 60_000 }).catch(() => {})
      await pass(12_000)
    },
  },
  {
    name: 'the growing pause after each refusal that does not say when to retry',
    fake: { engines: 0, generation: '2026-04' },
    client: { dialect: 'unversioned' },
    notes: ['0 POST /provision/acestream', '5000 POST /provision/acestream', '15000 POST /provision/acestream'],
    async run({ client, fake, note, watch }) {
      fake.setProvisioning({ refuse: 'general_error' })
      await watch(30_000, 500, () => void client.acquireEngine({ waitMs: 1_000 }).catch((error: unknown) => note(outcomeOf(error))))
    },
  },
  {
    name: 'the retries of a single event, which are not throttled',
    fake: { engines: 1 },
    client: { circuitBreaker: false },
    notes: ['0 POST /events/stream_ended'],
    async run(world) {
      const stream = await start(world)
      world.fake.inject({ kind: 'refused', ...EVERY_TIME })
      void stream.end()
      await world.pass(60_000)
    },
  },
  {
    name: 'the retries of 60 events, which are throttled',
    fake: { engines: 1 },
    client: { circuitBreaker: false, maxStreamsPerEngine: 60 },
    notes: [],
    async run(world) {
      const { fake, pass } = world
      const streams = await Promise.all(Array.from({ length: 60 }, (_, index) => start(world, `session-${index}`)))
      fake.inject({ kind: 'refused', ...EVERY_TIME })
      for (const stream of streams) void stream.end()
      await pass(90_000)
    },
  },
  {
    name: 'the pause of 40 s before a start that was answered with Retry-After',
    fake: { engines: 1 },
    notes: ['0 POST /events/stream_started', '40000 POST /events/stream_started'],
    async run(world) {
      world.fake.inject({ route: 'POST /events/stream_started', kind: 'status', headers: { 'Retry-After': '40' } })
      void start(world)
      await world.pass(60_000)
    },
  },
  {
    name: 'the delivery time-out of an event',
    fake: { engines: 1 },
    client: { deliveryTimeoutMs: 45_000, requestTimeoutMs: 30_000 },
    notes: ['45000 undeliverable'],
    async run(world) {
      const stream = await start(world)
      world.fake.inject({ route: 'POST /events/stream_ended', kind: 'lost-request' })
      world.fake.inject({ kind: 'refused', ...EVERY_TIME })
      void stream.end().then(({ outcome }) => world.note(outcome))
      await world.pass(60_000)
    },
  },
  {
    name: 'a fresh engine list',
    fake: { engines: 1 },
    notes: ['0 GET /engines', '2000 GET /engines', '4000 GET /engines'],
    run: ({ client, watch }) => watch(4_500, 250, () => client.listEngines()),
  },
  {
    name: 'a fresh engine list in a cache that copies',
    fake: { engines: 1 },
    client: { cache: copyingCache },
    notes: ['0 GET /engines', '2000 GET /engines', '4000 GET /engines'],
    async run({ client, watch }) {
      texts.clear()
      await watch(4_500, 250, () => client.listEngines())
    },
  },
  {
    name: 'a stale engine list that is served while the orchestrator fails',
    fake: { engines: 1 },
    client: { circuitBreaker: false, retry: { attempts: 1 } },
    notes: ['31500 served', '32000 CONNECTION undefined waited undefined retry undefined'],
    async run({ client, fake, note, watch }) {
      await client.listEngines()
      fake.inject({ kind: 'refused', ...EVERY_TIME })
      const list = async (): Promise<void> => {
        try {
          await client.listEngines()
          note('served')
        } catch (error) {
          note(outcomeOf(error))
        }
      }
      await watch(34_000, 500, () => void list())
    },
  },
  {
    name: 'a caller that waits for 30 s',
    fake: { engines: 1 },
    notes: ['30000 CAPACITY full waited 30000 retry 5000'],
    async run({ client, note, pass }) {
      await client.acquireEngine()
      client.acquireEngine({ waitMs: 30_000, provision: false }).catch((error: unknown) => note(outcomeOf(error)))
      await pass(40_000)
    },
  },
  {
    name: 'a caller that waits for 30 s while the orchestrator fails',
    client: { circuitBreaker: false },
    notes: [],
    async run({ client, fake, note, pass }) {
      fake.inject({ kind: 'refused', ...EVERY_TIME })
      client.acquireEngine({ waitMs: 30_000 }).catch((error: unknown) => note(outcomeOf(error)))
      await pass(40_000)
    },
  },
  {
    name: 'an ejection of 30 s',
    fake: { engines: 2 },
    notes: ['29500 1 of 2', '30000 2 of 2'],
    async run({ client, note, watch }) {
      const first = await client.acquireEngine()
      const exclude = (await client.listEngines()).map(({ containerId }) => containerId).filter((id) => id !== first.engine.containerId)
      await first.fail()
      for (let times = 0; times < 2; times += 1) await (await client.acquireEngine({ exclude })).fail()
      const acquireTwo = async (): Promise<void> => {
        const taken = await Promise.allSettled([0, 1].map(() => client.acquireEngine({ waitMs: 0, provision: false })))
        const leases = taken.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
        note(`${leases.length} of 2`)
        for (const lease of leases) await lease.release()
      }
      await watch(33_000, 500, () => void acquireTwo())
    },
  },
  {
    name: 'the settle time of an engine after an acquire',
    fake: { engines: 2 },
    client: { settleMs: 5_000, maxStreamsPerEngine: 3 },
    notes: [],
    async run({ client, note, watch }) {
      await watch(9_000, 800, async () => note((await client.acquireEngine()).engine.containerId))
    },
  },
  {
    name: 'the retention of 20 s of an ended id',
    fake: { engines: 1 },
    client: { endedRetentionMs: 20_000 },
    notes: ['19000 duplicate', '20000 delivered'],
    async run(world) {
      const stream = await start(world)
      await stream.end()
      const again = async (): Promise<void> => world.note((await world.client.streamEnded(stream.id)).outcome)
      await world.watch(20_500, 1_000, () => void again())
    },
  },
  {
    name: 'each interval of reconciliation, health check and sweep',
    fake: { engines: 1 },
    client: { reconcileIntervalMs: 20_000, healthIntervalMs: 30_000, sweepIntervalMs: 50_000 },
    notes: ['20000 GET /streams', '40000 GET /streams', '30000 GET /orchestrator/status', '60000 GET /orchestrator/status'],
    async run(world) {
      await start(world)
      await world.pass(100_000)
    },
  },
  {
    name: 'the grace period of 120 s of a stream whose engine is no longer listed',
    fake: { engines: 1, generation: '2026-04' },
    client: { reconcileIntervalMs: 10_000 },
    notes: [],
    async run(world) {
      const stream = await start(world)
      stream.lost.addEventListener('abort', () => world.note('lost'), { once: true })
      world.fake.inject({ route: 'GET /engines', kind: 'status', status: 200, body: '[]', ...EVERY_TIME })
      await world.pass(200_000)
      if (!stream.lost.aborted) world.note('never lost')
    },
  },
  {
    name: 'a request that gets no answer',
    fake: { engines: 1 },
    client: { retry: { attempts: 1 } },
    notes: ['3000 REQUEST_TIMEOUT undefined waited undefined retry undefined'],
    async run({ client, fake, note, pass }) {
      fake.inject({ route: 'GET /streams', kind: 'lost-answer', ...EVERY_TIME })
      client.listStreams().catch((error: unknown) => note(outcomeOf(error)))
      await pass(60_000)
    },
  },
  {
    name: 'the wait for a new engine',
    fake: { engines: 0, generation: 'v1' },
    client: { provisionTimeoutMs: 60_000, watch: false },
    notes: ['60000 CAPACITY provision_timeout waited undefined retry 5000'],
    async run({ client, fake, note, pass }) {
      fake.setProvisioning({ delayMs: 3_000_000 })
      client.provisionEngine().catch((error: unknown) => note(outcomeOf(error)))
      await pass(90_000)
    },
  },
  {
    name: "v1's event stream, which closes after 60 s without a call",
    fake: { engines: 1, generation: 'v1' },
    notes: ['59000 1 open', '60000 0 open'],
    async run({ client, note, watch, wire }) {
      await (await client.acquireEngine()).release()
      await watch(61_000, 1_000, () => note(`${wire.openCount} open`))
    },
  },
  {
    name: "v1's event stream, whose pushes keep lists fresh",
    fake: { engines: 1, generation: 'v1' },
    notes: [],
    async run({ client, watch }) {
      await watch(20_000, 1_000, async () => (await client.acquireEngine()).release())
    },
  },
  {
    name: "v1's event stream that no longer sends anything",
    fake: { engines: 1, generation: 'v1' },
    notes: [],
    async run({ client, clock, note, watch, wire }) {
      await (await client.acquireEngine()).release()
      await clock.advance(2_000)
      wire.mangle = () => []
      await watch(30_000, 500, async () => {
        note(`connection ${wire.connections.length}`)
        await (await client.acquireEngine()).release()
      })
    },
  },
]
