import type { Redis } from 'ioredis'

/** What goes away by itself so soon is not left behind. */
const SOON_MS = 60_000
/** Facts about the whole fleet, such as counters. */
const MOST_FACTS = 8
/** Names that the simulation gives; ids of streams may stay, as ended ones. */
const NAMES = /engine-|lease-|proxy-/

/** What the server still holds after all members have left, but for ended ids: slots, entries of the journal, members. */
export async function leftovers(eye: Redis): Promise<string[]> {
  const found: string[] = []
  let factCount = 0
  for (const key of await eye.keys('*')) {
    const leftMs = await eye.pttl(key)
    if (leftMs >= 0 && leftMs <= SOON_MS) continue
    const items = await itemsOf(eye, key)
    for (const item of items) if (NAMES.test(`${key} ${item}`)) found.push(`${key}: ${item}`)
    // Ended ids have their lives beside them; whatever else there is must not grow with the number of members.
    factCount += items.filter((item) => !/stream-\d+|life-\d+/.test(item)).length
  }
  if (factCount > MOST_FACTS) found.push(`${factCount} facts that are no ended ids`)
  return found
}

async function itemsOf(eye: Redis, key: string): Promise<string[]> {
  const type = await eye.type(key)
  if (type === 'hash') return Object.entries(await eye.hgetall(key)).map(([field, value]) => `${field}=${value}`)
  if (type === 'zset') return eye.zrange(key, '0', '-1')
  if (type === 'set') return eye.smembers(key)
  if (type === 'list') return eye.lrange(key, 0, -1)
  if (type === 'stream') return (await eye.xrange(key, '-', '+')).map(([id, fields]) => `${id} ${fields.join(' ')}`)
  return [String(await eye.get(key))]
}
