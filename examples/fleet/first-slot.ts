import { setTimeout as sleep } from 'node:timers/promises'
import { Viewer } from '../demo/viewer.ts'
import type { Address } from './audience.ts'

const TIMEOUT_MS = 120_000
const PAUSE_MS = 200

/**
 * Waits until each proxy has served a viewer: on an empty Redis a fleet grants no slot for one `ACEXY_STORE_TTL`. Returns the duration in
 * milliseconds.
 */
export async function firstSlots(proxies: readonly Address[], signal: AbortSignal): Promise<number> {
  const startedAt = performance.now()
  await Promise.all(proxies.map(({ url }, index) => firstSlot(url, `f${startedAt.toFixed()}f${index}`.padEnd(40, 'f'), signal)))
  return performance.now() - startedAt
}

/** Retries until a viewer gets bytes. No viewer of the audience has such an infohash. */
async function firstSlot(url: string, infohash: string, signal: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + TIMEOUT_MS
  for (;;) {
    const viewer = new Viewer(url, infohash)
    await viewer.answered
    await viewer.leave()
    await viewer.gone
    if (viewer.bytes > 0) return
    if (performance.now() > giveUpAt) throw new Error(`${url} granted no slot within ${TIMEOUT_MS / 1_000} s: ${viewer.reason}`)
    await sleep(PAUSE_MS, undefined, { signal })
  }
}
