/** A process that closes its store, and then ends streams. It exits by itself. */
import { RedisStore } from 'acestream-orchestrator-client/redis'
import { Redis } from 'ioredis'

const [, , redisUrl = ''] = process.argv
const redis = new Redis(redisUrl)
const store = new RedisStore({ client: redis })
const retention = { now: Date.now(), retentionMs: 60_000, max: 1_000 }
await store.renew()
await store.close()
const claims = [await store.claimEnd('stream', retention), await store.claimEnd('stream', retention)]
await store.unclaimEnd('stream')
claims.push(await store.claimEnd('stream', retention))
process.stdout.write(JSON.stringify(claims))
redis.disconnect()
