/**
 * Counts what a fleet costs its Redis: scripts, bytes, and how long each blocks the server. Counts do not depend on the machine. Times are
 * shown beside those of an empty script on the same server, as the minimum of any script.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type EngineLease, OrchestratorClient } from 'acestream-orchestrator-client'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { Bench } from './redis-server.ts'

const FLEET = 'bench'
const PROXIES = 50
const LIMIT = 2
const RETENTION = { retentionMs: 3_600_000, max: 100_000 }
const quiet = { healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0, watch: false }
const session = { playbackSessionId: 'session', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' }

type Row = Record<string, string | number>

/** Runs tasks, some of them at the same time. */
async function inGroups(count: number, run: (index: number) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < count; from += 200) {
    await Promise.all(Array.from({ length: Math.min(200, count - from) }, (_, place) => run(from + place)))
  }
}

async function emptyScriptUs(bench: Bench): Promise<number> {
  const sha = String(await bench.inspector.script('LOAD', 'return 1'))
  await bench.reset()
  for (let call = 0; call < 500; call += 1) await bench.inspector.evalsha(sha, 0)
  const { scripts, scriptUs } = await bench.work()
  return scriptUs / scripts
}

const us = (value: number): number => Number(value.toFixed(1))

async function renewals(): Promise<Row[]> {
  const rows: Row[] = []
  for (const streams of [200, 2_000, 20_000]) {
    await using bench = new Bench()
    await bench.open(FLEET)
    await using store = new RedisStore({ client: bench.connect(), name: FLEET })
    await inGroups(streams, async (index) => {
      await store.occupy(`engine-${index % 1_000}`, `stream-${index}`)
      await store.append({ streamId: `stream-${index}`, proxyId: 'proxy', isOver: false })
    })
    await bench.reset()
    for (let call = 0; call < 50; call += 1) await store.renew()
    const { scripts, scriptUs, longestUs } = await bench.work()
    rows.push({
      what: `one renewal with ${streams} streams`,
      scripts: scripts / 50,
      'µs in Redis': us(scriptUs / 50),
      'longest script µs': longestUs,
    })
  }
  return rows
}

/** Another proxy has died with 20,000 entries. */
async function firstLook(): Promise<Row> {
  await using bench = new Bench()
  const clock = new ManualClock()
  const connect = () => new RedisStore({ client: bench.connect(), name: FLEET, clock, timeoutMs: 60_000, slotTtlMs: 600_000 })
  await using store = connect()
  const dead = connect()
  await inGroups(20_000, (index) => dead.append({ streamId: `stream-${index}`, proxyId: 'dead', isOver: false, life: 'life' }))
  await dead.close()
  await bench.reset()
  const entries = await store.recover()
  const { scripts, scriptUs, longestUs } = await bench.work()
  return { what: `first look at ${entries.length} entries`, scripts, 'µs in Redis': scriptUs, 'longest script µs': longestUs }
}

async function fullEngines(): Promise<Row> {
  await using bench = new Bench()
  await bench.open(FLEET)
  await using store = new RedisStore({ client: bench.connect(), name: FLEET })
  const candidates = Array.from({ length: 64 }, (_, index) => ({
    containerId: `engine-${index}`,
    reportedStreamIds: [`${index}/0`, `${index}/1`],
  }))
  for (const { containerId, reportedStreamIds } of candidates) for (const id of reportedStreamIds) await store.occupy(containerId, id)
  await bench.reset()
  for (let call = 0; call < 200; call += 1)
    await store.take({ leaseId: `lease-${call}`, candidates, limit: LIMIT, now: Date.now(), expiresAt: Date.now() + 60_000 })
  const { scripts, scriptUs, longestUs } = await bench.work()
  return { what: 'take over 64 full engines', scripts: scripts / 200, 'µs in Redis': us(scriptUs / 200), 'longest script µs': longestUs }
}

async function memoryAfterwards(): Promise<Row> {
  await using bench = new Bench()
  await bench.open(FLEET)
  await using store = new RedisStore({ client: bench.connect(), name: FLEET })
  await inGroups(20_000, async (index) => {
    const streamId = `stream-${index}`
    await store.append({ streamId, proxyId: 'proxy', isOver: false, life: 'session.place.startedat.0.0' })
    await store.claimEnd(streamId, { ...RETENTION, now: Date.now() }, 'session.place.startedat.0.0')
    await store.settle(streamId, 'session.place.startedat.0.0')
  })
  const keys = await bench.inspector.keys('*')
  return { what: 'after 20,000 streams', keys: keys.length, 'MB in Redis': Number(((await bench.memory()) / 1e6).toFixed(2)) }
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

async function play(client: OrchestratorClient, id: string, ms = 0): Promise<number> {
  const calledAt = performance.now()
  const lease = await client.acquireEngine({ provision: false, waitMs: 60_000 })
  const waitedMs = performance.now() - calledAt
  const stream = await lease.startStream({ keyType: 'infohash', key: id, session, streamId: id })
  await sleep(ms)
  await stream.end()
  return waitedMs
}

const closeAll = (clients: readonly OrchestratorClient[]) => Promise.all(clients.map((client) => client.close({ timeoutMs: 0 })))

async function roundTrips(): Promise<Row[]> {
  await using bench = new Bench()
  await bench.open(FLEET)
  const [alone, ...others] = proxies(bench, 10, PROXIES + 1) as [OrchestratorClient, ...OrchestratorClient[]]
  await play(alone, 'warm-up')
  await bench.reset()
  for (let index = 0; index < 100; index += 1) await play(alone, `alone-${index}`)
  const single = await bench.work()
  await Promise.all(others.map((client) => client.listEngines()))
  await bench.reset()
  const waits = (
    await Promise.all(
      others.map(async (client, proxy) => {
        const found: number[] = []
        for (let index = 0; index < 10; index += 1) found.push(await play(client, `crowd-${proxy}-${index}`, 20))
        return found
      }),
    )
  ).flat()
  const crowd = await bench.work()
  waits.sort((one, other) => one - other)
  await closeAll([alone, ...others])
  return [
    { what: 'a stream, one proxy', scripts: single.scripts / 100, 'bytes sent': Math.round(single.bytes / 100) },
    {
      what: `a stream, ${PROXIES} proxies contend for 20 slots`,
      scripts: us(crowd.scripts / waits.length),
      'bytes sent': Math.round(crowd.bytes / waits.length),
      'wait p99 ms': Math.round(waits[Math.floor(waits.length * 0.99)] ?? 0),
    },
  ]
}

async function bytes(): Promise<Row[]> {
  const rows: Row[] = []
  for (const engines of [10, 500]) {
    await using bench = new Bench()
    await bench.open(FLEET)
    const [client, rival] = proxies(bench, engines, 2) as [OrchestratorClient, OrchestratorClient]
    const acquire = (by: OrchestratorClient) => by.acquireEngine({ provision: false, waitMs: 0 })
    await (await acquire(client)).release()
    await bench.reset()
    for (let call = 0; call < 50; call += 1) await (await acquire(client)).release()
    const room = await bench.work()
    for (let index = 0; index < engines * LIMIT; index += 1) await acquire(rival)
    await acquire(client).catch(() => undefined)
    await bench.reset()
    for (let call = 0; call < 50; call += 1) await acquire(client).catch(() => undefined)
    const full = await bench.work()
    rows.push({ what: `acquire and release, ${engines} engines`, scripts: room.scripts / 50, 'bytes sent': Math.round(room.bytes / 50) })
    rows.push({ what: `acquire, ${engines} engines, all full`, scripts: full.scripts / 50, 'bytes sent': Math.round(full.bytes / 50) })
    await closeAll([client, rival])
  }
  return rows
}

async function freedSlot(): Promise<Row> {
  await using bench = new Bench()
  await bench.open(FLEET)
  const [holder, ...others] = proxies(bench, 5, PROXIES + 1) as [OrchestratorClient, ...OrchestratorClient[]]
  await Promise.all(others.map((client) => client.listEngines()))
  const held: EngineLease[] = []
  for (let index = 0; index < 10; index += 1) held.push(await holder.acquireEngine({ provision: false }))
  const order: number[] = []
  for (const [place, client] of others.entries()) {
    void client.acquireEngine({ provision: false, waitMs: 120_000 }).then(
      () => order.push(place),
      () => {},
    )
    await sleep(10)
  }
  await sleep(500)
  const scripts: number[] = []
  const times: number[] = []
  for (const lease of held) {
    const before = order.length
    await bench.reset()
    const releasedAt = performance.now()
    await lease.release()
    while (order.length === before) await sleep(1)
    times.push(performance.now() - releasedAt)
    scripts.push((await bench.work()).scripts)
  }
  const isInOrder = order.every((place, index) => place === index)
  await closeAll([holder, ...others])
  const median = (values: number[]): number => values.sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? Number.NaN
  return {
    what: `a freed slot, ${PROXIES} proxies wait`,
    scripts: median(scripts),
    'ms until it is taken': us(median(times)),
    'in order of arrival': isInOrder ? 'yes' : 'no',
  }
}

/** Prints the results. */
export async function printRedisFleet(): Promise<void> {
  if (Bench.isMissing) return
  const rows = [
    ...(await renewals()),
    await firstLook(),
    await fullEngines(),
    ...(await roundTrips()),
    ...(await bytes()),
    await freedSlot(),
    await memoryAfterwards(),
  ]
  await using bench = new Bench()
  console.log(`\nThe Redis of a fleet; an empty script takes ${us(await emptyScriptUs(bench))} µs there:`)
  console.table(rows)
}
