import { setTimeout as sleep } from 'node:timers/promises'
import type { Screen } from '../demo/screen.ts'
import type { World } from '../demo/world.ts'
import type { Address, Audience } from './audience.ts'
import { firstSlots } from './first-slot.ts'
import type { RedisServer } from './redis-server.ts'
import { Survivors } from './survivors.ts'

/** The effects of the outage on viewers, and on the streams that the orchestrator lists. */
export interface OutageOutcome {
  /** How long Redis was down, milliseconds. */
  readonly downMs: number
  /** Milliseconds from the return of Redis until every proxy granted slots again. */
  readonly slotsAfterMs: number
  /** Number of streams at each proxy that ran when Redis was killed, and whose viewers stayed beyond its return. */
  readonly ranPerProxy: readonly number[]
  /** Number of these streams that were cut off, were no longer listed, or got no more bytes. */
  readonly ended: number
}

/** The parts of the demo that the outage needs. */
export interface OutageParts {
  readonly redis: RedisServer
  readonly world: World
  readonly audience: Audience
  readonly proxies: readonly Address[]
  readonly screen: Screen
  readonly signal: AbortSignal
  /** `ACEXY_STORE_TTL`. */
  readonly ttlMs: number
}

const DOWN_MS = 20_000
/** Bytes arrive many times a second, so a stream without bytes for this long is stalled. */
const FLOWING_MS = 3_000

/**
 * Kills Redis, starts it again after 20 s, empty, and waits until the fleet grants slots again. Watches the streams that run through all of
 * this until at least one and a half TTLs after the return: a proxy that took another one for dead would have ended its streams by then.
 */
export async function outage({ redis, world, audience, proxies, screen, signal, ttlMs }: OutageParts): Promise<OutageOutcome> {
  const survivors = await Survivors.of(world, audience.visits)
  const stoppedAt = performance.now()
  await redis.stop()
  screen.print(`Redis killed; ${survivors.visits.length} streams run`)
  const watching = new AbortController()
  const watched = survivors.watch(AbortSignal.any([signal, watching.signal]))
  try {
    await sleep(DOWN_MS, undefined, { signal })
    await redis.restart()
    const returnedAt = performance.now()
    const stayed = survivors.staying()
    const slotsAfterMs = await firstSlots(proxies, signal)
    screen.print(`Redis back after ${seconds(returnedAt - stoppedAt)}, empty; every proxy granted a slot ${seconds(slotsAfterMs)} later`)
    await sleep(Math.max(0, 1.5 * ttlMs - slotsAfterMs), undefined, { signal })
    const silent = await survivors.silentWithin(FLOWING_MS, signal)
    const ended = new Set([...survivors.ended, ...silent])
    // Count the streams that were cut off too: their viewers wanted to stay.
    const ran = new Set([...stayed, ...survivors.ended])
    const ranPerProxy = proxies.map((proxy) => [...ran].filter((visit) => visit.proxy === proxy).length)
    return { downMs: returnedAt - stoppedAt, slotsAfterMs, ranPerProxy, ended: ended.size }
  } finally {
    watching.abort()
    await watched
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
