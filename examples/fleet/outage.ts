import { setTimeout as sleep } from 'node:timers/promises'
import type { Screen } from '../demo/screen.ts'
import type { World } from '../demo/world.ts'
import type { Address, Audience } from './audience.ts'
import { firstSlots } from './first-slot.ts'
import type { RedisServer } from './redis-server.ts'
import { Survivors } from './survivors.ts'

/** What the outage did, as viewers and the orchestrator saw it. */
export interface OutageOutcome {
  /** How long Redis was down, milliseconds. */
  readonly downMs: number
  /** From its return until every proxy gave slots again, milliseconds. */
  readonly slotsAfterMs: number
  /** For each proxy, how many streams ran when Redis went away and were to stay beyond its return. */
  readonly ranPerProxy: readonly number[]
  /** How many of them were cut off, ended by anybody, or got no more bytes. */
  readonly ended: number
}

/** Who takes part. */
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
/** Bytes come many times a second. */
const FLOWING_MS = 3_000

/**
 * Kills Redis, starts it again after 20 s, empty, and waits until the fleet gives slots again. Watches the streams that run through all of
 * this, until one and a half TTLs after the return at least: a proxy that took another for dead would have ended them by then.
 */
export async function outage({ redis, world, audience, proxies, screen, signal, ttlMs }: OutageParts): Promise<OutageOutcome> {
  const survivors = await Survivors.of(world, audience.visits)
  const wentAt = performance.now()
  await redis.stop()
  screen.print(`Redis killed; ${survivors.visits.length} streams run`)
  const watching = new AbortController()
  const watched = survivors.watch(AbortSignal.any([signal, watching.signal]))
  try {
    await sleep(DOWN_MS, undefined, { signal })
    await redis.restart()
    const cameAt = performance.now()
    const stayed = survivors.staying()
    const slotsAfterMs = await firstSlots(proxies, signal)
    screen.print(`Redis back after ${seconds(cameAt - wentAt)}, empty; every proxy gave a slot ${seconds(slotsAfterMs)} later`)
    await sleep(Math.max(0, 1.5 * ttlMs - slotsAfterMs), undefined, { signal })
    const silent = await survivors.silentWithin(FLOWING_MS, signal)
    const ended = new Set([...survivors.ended, ...silent])
    // A stream that was cut off was to stay as well.
    const ran = new Set([...stayed, ...survivors.ended])
    const ranPerProxy = proxies.map((proxy) => [...ran].filter((visit) => visit.proxy === proxy).length)
    return { downMs: cameAt - wentAt, slotsAfterMs, ranPerProxy, ended: ended.size }
  } finally {
    watching.abort()
    await watched
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
