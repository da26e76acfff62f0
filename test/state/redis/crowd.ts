/** A proxy process that requests 200 engines at once for each line `acquire` on its standard input. */
import { createInterface } from 'node:readline'
import { type EngineLease, MemoryStore, OrchestratorClient } from 'acestream-orchestrator-client'
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'

const [, , baseUrl = '', apiKey = '', redisUrl = '', name = ''] = process.argv
const redis = redisUrl === '' ? undefined : new Redis(redisUrl)
const store = redis === undefined ? new MemoryStore() : new RedisStore({ client: redis, name, timeoutMs: 600_000, slotTtlMs: 600_000 })
/** So long that no list goes stale, no lease expires and no request times out, even on a slow machine. */
const patient = { maxStreamsPerEngine: 2, watch: false, requestTimeoutMs: 600_000, leaseTtlMs: 600_000, cacheTtlMs: 600_000 }
const client = new OrchestratorClient({ baseUrl, apiKey, store, ...patient })
let leases: readonly EngineLease[] = []

const print = (message: unknown): void => void process.stdout.write(`${JSON.stringify(message)}\n`)

async function acquire(): Promise<void> {
  const requests = Array.from({ length: 200 }, () => client.acquireEngine({ waitMs: 0, provision: false }))
  const results = await Promise.allSettled(requests)
  leases = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const refusals = results.flatMap((result) => (result.status === 'rejected' ? [String(result.reason?.reason ?? result.reason)] : []))
  print({ taken: leases.map(({ engine }) => engine.containerId), refusals: [...new Set(refusals)] })
}

async function release(): Promise<void> {
  await Promise.all(leases.map((lease) => lease.release()))
  print('released')
}

await client.listEngines()
print('ready')
for await (const command of createInterface(process.stdin)) await (command === 'acquire' ? acquire() : release())
await client.close()
redis?.disconnect()
