/** A proxy in a process of its own that asks for 200 engines at once whenever it is told to. */
import { createInterface } from 'node:readline'
import { type EngineLease, MemoryStore, OrchestratorClient } from 'acestream-orchestrator-client'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'

const [, , baseUrl = '', apiKey = '', redisUrl = '', name = ''] = process.argv
const redis = redisUrl === '' ? undefined : new Redis(redisUrl)
const store = redis === undefined ? new MemoryStore() : new RedisStore({ client: redis, name, timeoutMs: 600_000, slotTtlMs: 600_000 })
/** However slow the machine is, no list goes stale, no lease expires and no request times out. */
const patient = { maxStreamsPerEngine: 2, watch: false, requestTimeoutMs: 600_000, leaseTtlMs: 600_000, cacheTtlMs: 600_000 }
const client = new OrchestratorClient({ baseUrl, apiKey, store, ...patient })
let leases: readonly EngineLease[] = []

const say = (what: unknown): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

async function acquire(): Promise<void> {
  const tries = Array.from({ length: 200 }, () => client.acquireEngine({ waitMs: 0, provision: false }))
  const results = await Promise.allSettled(tries)
  leases = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const refusals = results.flatMap((result) => (result.status === 'rejected' ? [String(result.reason?.reason ?? result.reason)] : []))
  say({ taken: leases.map(({ engine }) => engine.containerId), refusals: [...new Set(refusals)] })
}

async function release(): Promise<void> {
  await Promise.all(leases.map((lease) => lease.release()))
  say('released')
}

await client.listEngines()
say('ready')
for await (const command of createInterface(process.stdin)) await (command === 'acquire' ? acquire() : release())
await client.close()
redis?.disconnect()
