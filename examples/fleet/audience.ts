import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from 'acestream-orchestrator-client'
import { Viewer } from '../demo/viewer.ts'

/** A proxy as its viewers see it. */
export interface Address {
  readonly url: string
  /** Since it was killed. */
  isDead: boolean
}

const VIEWERS = 108
/** They come in bunches, so that proxies choose at the same moment. */
const BUNCH = 9
const BUNCH_EVERY_MS = 1_200
const LEAST_STAY_MS = 1_500
const MOST_STAY_MS = 5_500

/** How long they keep coming, milliseconds. */
export const DURATION_MS: number = (VIEWERS / BUNCH) * BUNCH_EVERY_MS

/** Viewers on several proxies. Whoever is cut off by the death of one asks another, as players behind a load balancer do. */
export class Audience {
  /** All visits so far. */
  readonly visits: { readonly viewer: Viewer; readonly proxy: Address; readonly infohash: string }[] = []
  readonly expected: number = VIEWERS
  readonly #proxies: readonly Address[]
  readonly #random: Random

  constructor(proxies: readonly Address[], random: Random) {
    this.#proxies = proxies
    this.#random = random
  }

  get viewers(): readonly Viewer[] {
    return this.visits.map(({ viewer }) => viewer)
  }

  /** Those who were cut off by the death of their proxy. */
  get orphans(): number {
    return this.visits.filter(({ viewer, proxy }) => proxy.isDead && viewer.state === 'failed').length
  }

  /** Those who got neither bytes nor a time to come back, and whose proxy lived. */
  get failures(): readonly Viewer[] {
    const bad = this.visits.filter(({ viewer, proxy }) => !proxy.isDead && viewer.state !== 'served' && viewer.state !== 'refused')
    return bad.map(({ viewer }) => viewer)
  }

  /** Has all of them come and go. */
  async come(signal: AbortSignal): Promise<void> {
    const stays = Array.from({ length: VIEWERS }, () => LEAST_STAY_MS + this.#random() * (MOST_STAY_MS - LEAST_STAY_MS))
    await Promise.all(
      stays.map(async (stayMs, index) => {
        await sleep(Math.floor(index / BUNCH) * BUNCH_EVERY_MS, undefined, { signal })
        await this.#watch(index, stayMs)
      }),
    )
  }

  async #watch(index: number, stayMs: number): Promise<void> {
    const living = this.#proxies.filter(({ isDead }) => !isDead)
    const proxy = living[index % living.length]
    if (proxy === undefined) throw new Error('no proxy lives')
    const infohash = (index * 1_000 + this.visits.length).toString(16).padStart(40, '0')
    const viewer = new Viewer(proxy.url, infohash)
    this.visits.push({ viewer, proxy, infohash })
    await Promise.race([sleep(stayMs), viewer.gone])
    await viewer.leave()
    await viewer.gone
    if (proxy.isDead && viewer.state === 'failed') await this.#watch(index, stayMs)
  }
}
