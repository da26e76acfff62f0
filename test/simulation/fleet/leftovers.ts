import type { Redis } from 'ioredis'

/** A key that expires within this time is no leftover. */
const SOON_MS = 60_000
/** How many items about the whole fleet, such as counters, may stay. */
const MOST_FLEET_ITEMS = 8
/** Names of the simulation that must not stay. Stream ids may stay among the ended ids. */
const NAMES = /engine-|lease-|proxy-/

/** Returns the slots, journal entries and members that the server still holds after all members have left. Ended ids may stay. */
export async function leftovers(inspector: Redis): Promise<string[]> {
  const found: string[] = []
  let fleetItemCount = 0
  for (const key of await inspector.keys('*')) {
    const leftMs = await inspector.pttl(key)
    if (leftMs >= 0 && leftMs <= SOON_MS) continue
    const items = await itemsOf(inspector, key)
    for (const item of items) if (NAMES.test(`${key} ${item}`)) found.push(`${key}: ${item}`)
    // Ended ids and their lives may stay. The number of all other items must not grow with the number of members.
    fleetItemCount += items.filter((item) => !/stream-\d+|life-\d+/.test(item)).length
  }
  if (fleetItemCount > MOST_FLEET_ITEMS) found.push(`${fleetItemCount} items that are no ended ids`)
  return found
}

async function itemsOf(inspector: Redis, key: string): Promise<string[]> {
  const type = await inspector.type(key)
  if (type === 'hash') return Object.entries(await inspector.hgetall(key)).map(([field, value]) => `${field}=${value}`)
  if (type === 'zset') return inspector.zrange(key, '0', '-1')
  if (type === 'set') return inspector.smembers(key)
  if (type === 'list') return inspector.lrange(key, 0, -1)
  if (type === 'stream') return (await inspector.xrange(key, '-', '+')).map(([id, fields]) => `${id} ${fields.join(' ')}`)
  return [String(await inspector.get(key))]
}
