/** Counts what a fleet costs its Redis: scripts, bytes, memory, and how long each script blocks the server. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type EngineLease, OrchestratorClient } from 'acestream-orchestrator-client'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import type { Figure, Group } from './frame/row.ts'
import { Bench } from './redis-server.ts'

const FLEET = 'bench'
const PROXIES = 50
const LIMIT = 2
const REPEATS = 50
const RETENTION = { retentionMs: 3_600_000, max: 100_000 }
const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, watch: false }
const session = { playbackSessionId: 'session', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }

/** Runs tasks, some of them at the same time. */
async function inGroups(count: number, run: (index: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += 200) {
    await Promise.all(Array.from({ length: Math.min(200, count - from) }, (_, place) => run(from + place)))
  }
}

/** Microseconds in which one renewal with so many streams blocks Redis. */
async function renewal(streams: number): Promise<Figure> {
  await using bench = await Bench.start()
  await bench.open(FLEET)
  await using store = new RedisStore({ client: bench.connect(), name: FLEET })
  await inGroups(streams, async (index) => {
    await store.occupy(`engine-${index % 1_000}`, `stream-${index}`)
    await store.append({ streamId: `stream-${index}`, proxyId: 'proxy', isOver: false })
  })
  await bench.reset()
  for (let call = 0; call < REPEATS; call += 1) await store.renew()
  return { cost: (await bench.work()).scriptUs / REPEATS }
}

/**
 * Microseconds in which the longest script blocks Redis while the entries of a proxy that has left are taken over: the least of three runs, because a
 * busy machine suspends Redis in the middle of a script.
 */
async function firstLook(): Promise<Figure> {
  const longest: number[] = []
  for (let run = 0; run < 3; run += 1) longest.push(await longestOfFirstLook())
  return { cost: Math.min(...longest) }
}

async function longestOfFirstLook(): Promise<number> {
  await using bench = await Bench.start()
  const clock = new ManualClock()
  const connect = () => new RedisStore({ client: bench.connect(), name: FLEET, clock, timeoutMs: 60_000, slotTtlMs: 600_000 })
  await using store = connect()
  const leaving = connect()
  await inGroups(20_000, (index) => leaving.append({ streamId: `stream-${index}`, proxyId: 'leaving', isOver: false, life: 'life' }))
  await leaving.close()
  await bench.reset()
  await store.recover()
  return (await bench.work()).longestUs
}

async function fullEngines(): Promise<Figure> {
  await using bench = await Bench.start()
  await bench.open(FLEET)
  await using store = new RedisStore({ client: bench.connect(), name: FLEET })
  const candidates = Array.from({ length: 64 }, (_, index) => ({
    containerId: `engine-${index}`,
    reportedStreamIds: [`${index}/0`, `${index}/1`],
  }))
  for (const { containerId, reportedStreamIds } of candidates) for (const id of reportedStreamIds) await store.occupy(containerId, id)
  await bench.reset()
  for (let call = 0; call < REPEATS; call += 1)
    await store.take({ leaseId: `lease-${call}`, candidates, limit: LIMIT, now: Date.now(), expiresAt: Date.now() + 60_000 })
  return { cost: (await bench.work()).scriptUs / REPEATS }
}

async function memoryAfterwards(): Promise<Figure> {
  await using bench = await Bench.start()
  await bench.open(FLEET)
  await using store = new RedisStore({ client: bench.connect(), name: FLEET })
  const life = 'session.place.startedat.0.0'
  await inGroups(20_000, async (index) => {
    const streamId = `stream-${index}`
    await store.append({ streamId, proxyId: 'proxy', isOver: false, life })
    await store.claimEnd(streamId, { ...RETENTION, now: Date.now() }, life)
    await store.settle(streamId, life)
  })
  return { cost: (await bench.memory()) / 1e6 }
}

/** Proxies of one fleet on one fake orchestrator. */
function proxies(bench: Bench, engines: number, count: number) {
  const fake = new FakeOrchestrator({ engines })
  const options = { baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, transport: fake, maxStreamsPerEngine: LIMIT, ...quiet }
  return Array.from({ length: count }, () => {
    const store = new RedisStore({ client: bench.connect(), name: FLEET })
    return new OrchestratorClient({ ...options, store })
  })
}

async function play(client: OrchestratorClient, id: string, ms = 0): Promise<{ calledAt: number; servedAt: number }> {
  const calledAt = performance.now()
  const lease = await client.acquireEngine({ provision: false, waitMs: 60_000 })
  const servedAt = performance.now()
  const stream = await lease.startStream({ keyType: 'infohash', key: id, session, streamId: id })
  if (ms > 0) await sleep(ms)
  await stream.end()
  return { calledAt, servedAt }
}

const closeAll = (clients: readonly OrchestratorClient[]) => Promise.all(clients.map((client) => client.close({ timeoutMs: 0 })))

async function roundTrips(): Promise<Figure> {
  await using bench = await Bench.start()
  await bench.open(FLEET)
  const [client] = proxies(bench, 10, 1) as [OrchestratorClient]
  await play(client, 'first')
  await bench.inspector.ping()
  await bench.reset()
  for (let index = 0; index < REPEATS; index += 1) await play(client, `counted-${index}`)
  const { scripts } = await bench.work()
  await closeAll([client])
  return { cost: Math.round(scripts / REPEATS) }
}

/** Scripts for each stream while all proxies contend for the slots, and the longest time by which a call was served before an earlier one. */
async function crowd(): Promise<{ scripts: number; overtakingMs: number }> {
  await using bench = await Bench.start()
  await bench.open(FLEET)
  const clients = proxies(bench, 10, PROXIES)
  await Promise.all(clients.map((client) => client.listEngines()))
  await bench.reset()
  const visits = await Promise.all(
    clients.map(async (client, proxy) => {
      const found: { calledAt: number; servedAt: number }[] = []
      for (let index = 0; index < 10; index += 1) found.push(await play(client, `crowd-${proxy}-${index}`, 200))
      return found
    }),
  )
  const { scripts } = await bench.work()
  await closeAll(clients)
  const inOrder = visits.flat().sort((one, other) => one.servedAt - other.servedAt)
  let latestCall = 0
  let overtakingMs = 0
  for (const { calledAt } of inOrder) {
    overtakingMs = Math.max(overtakingMs, latestCall - calledAt)
    latestCall = Math.max(latestCall, calledAt)
  }
  return { scripts: scripts / inOrder.length, overtakingMs }
}

/** Bytes that one acquire sends among 500 engines, compared with 10. */
async function bytes(areFull: boolean): Promise<Figure> {
  const among = async (engines: number): Promise<number> => {
    await using bench = await Bench.start()
    await bench.open(FLEET)
    const [client, rival] = proxies(bench, engines, 2) as [OrchestratorClient, OrchestratorClient]
    const acquire = async (by: OrchestratorClient) => by.acquireEngine({ provision: false, waitMs: 0 }).catch(() => undefined)
    if (areFull) for (let index = 0; index < engines * LIMIT; index += 1) await acquire(rival)
    await (await acquire(client))?.release()
    await bench.reset()
    for (let call = 0; call < REPEATS; call += 1) await (await acquire(client))?.release()
    const { bytes: sent } = await bench.work()
    await closeAll([client, rival])
    return sent / REPEATS
  }
  return { cost: await among(500), peer: await among(10) }
}

/** Scripts from the release of a slot until it is taken, while all other proxies wait: the median of ten slots. */
async function freedSlot(): Promise<Figure> {
  await using bench = await Bench.start()
  await bench.open(FLEET)
  const [holder, ...others] = proxies(bench, 5, PROXIES + 1) as [OrchestratorClient, ...OrchestratorClient[]]
  await Promise.all(others.map((client) => client.listEngines()))
  const held: EngineLease[] = []
  for (let index = 0; index < 10; index += 1) held.push(await holder.acquireEngine({ provision: false }))
  let servedCount = 0
  const onServed = (): void => {
    servedCount += 1
  }
  for (const client of others) client.acquireEngine({ provision: false, waitMs: 120_000 }).then(onServed, () => {})
  while ((await bench.inspector.zcard(`{acestream:${FLEET}}:line`)) < PROXIES) await sleep(10)
  await sleep(500)
  const scripts: number[] = []
  for (const lease of held) {
    const before = servedCount
    await bench.reset()
    await lease.release()
    while (servedCount === before) await sleep(1)
    scripts.push((await bench.work()).scripts)
  }
  await closeAll([holder, ...others])
  return { cost: scripts.sort((one, other) => one - other)[held.length / 2] ?? Number.NaN }
}

const MISSES = {
  crowd: {
    upTo: 10,
    because: `Four scripts are the stream's own, as with one proxy. Before a caller waits, its proxy asks for the engines that it takes for free, which
often finds one full (1.5 scripts) or offered to the first proxy of the line (1.2 scripts), and then without engines, which finds the engines that were freed
meanwhile (0.9 scripts). Renewals are 0.2.`,
  },
  memory: {
    upTo: 4.5,
    because: `An ended id needs 107 bytes in the sorted set by which ids are forgotten, oldest first, and 85 in the hash that has its life. The id, its life
and its time are 47 bytes of these: 0.94 MB as plain text. The rest are the pointers by which Redis finds and orders it. A store that packs several
ids into one field would need half, and would have to rewrite a field for each end.`,
  },
} as const

const US = { unit: 'µs', kind: 'timed' } as const

export const redisFleet: Group = {
  title: 'Redis of a fleet',
  about: `What a fleet costs its Redis. A script is one round trip. Times are those in which Redis runs nothing else. The
[costs of a fleet](docs/stores.md#what-a-fleet-costs) say what these figures mean for a site, and why some goals are missed.`,
  rows: [
    { ...US, id: 'redis-renewal-200', what: 'one renewal with 200 streams', goal: 200, measure: () => renewal(200) },
    { ...US, id: 'redis-renewal-20000', what: 'one renewal with 20,000 streams', goal: 200, measure: () => renewal(20_000) },
    { ...US, id: 'redis-full', what: 'take() over 64 full engines', goal: 300, measure: fullEngines },
    { ...US, id: 'redis-first-look', what: 'longest script of a first look at 20,000 entries', goal: 5_000, measure: firstLook },
    { id: 'redis-round-trips', what: 'a stream of one proxy', unit: 'scripts', goal: 4, kind: 'counted', measure: roundTrips },
    {
      id: 'redis-round-trips-crowd',
      what: `a stream, ${PROXIES} proxies contend for 20 slots`,
      unit: 'scripts',
      goal: 6,
      kind: 'timed',
      miss: MISSES.crowd,
      measure: async () => ({ cost: (await crowd()).scripts }),
    },
    {
      id: 'redis-overtaking',
      what: `longest time by which a call was served before an earlier one, ${PROXIES} proxies`,
      unit: 'ms',
      goal: 1_000,
      kind: 'timed',
      measure: async () => ({ cost: (await crowd()).overtakingMs }),
    },
    { id: 'redis-freed-slot', what: `a freed slot, ${PROXIES} proxies wait`, unit: 'scripts', goal: 3, kind: 'timed', measure: freedSlot },
    {
      id: 'redis-bytes',
      what: 'bytes of an acquire, 500 engines',
      peer: '10 engines',
      unit: 'bytes',
      goal: 1.5,
      kind: 'counted',
      measure: () => bytes(false),
    },
    {
      id: 'redis-bytes-full',
      what: 'bytes of an acquire, 500 full engines',
      peer: '10 full engines',
      unit: 'bytes',
      goal: 1.5,
      kind: 'counted',
      measure: () => bytes(true),
    },
    {
      id: 'redis-memory',
      what: 'keys of a fleet after 20,000 streams',
      unit: 'MB',
      goal: 1,
      kind: 'timed',
      miss: MISSES.memory,
      measure: memoryAfterwards,
    },
  ],
}
