import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from 'acestream-orchestrator-client'
import { Viewer } from '../demo/viewer.ts'

/** A proxy as its viewers see it. */
export interface Address {
  readonly url: string
  /** Since it was killed. */
  isDead: boolean
}

/** One viewer at one proxy. */
export interface FleetVisit {
  readonly viewer: Viewer
  readonly proxy: Address
  readonly infohash: string
  /** Since it began to leave by itself. */
  isLeaving: boolean
}

/** What an audience is like. */
export interface AudienceOptions {
  /** @default 108 */
  viewerCount?: number | undefined
  /** How many of the first viewers stay until {@link Audience.dismiss}. @default 0 */
  longStays?: number | undefined
}

const VIEWERS = 108
/** They come in bunches, so that proxies choose at the same moment. */
const BUNCH = 9
const BUNCH_EVERY_MS = 1_200
const LEAST_STAY_MS = 1_500
const MOST_STAY_MS = 5_500

/** Viewers on several proxies. A viewer that is cut off by the death of its proxy asks another, as players behind a load balancer do. */
export class Audience {
  /** All visits so far. */
  readonly visits: FleetVisit[] = []
  readonly expected: number
  readonly #longStays: number
  readonly #proxies: readonly Address[]
  readonly #random: Random
  readonly #dismissal = Promise.withResolvers<void>()

  constructor(proxies: readonly Address[], random: Random, { viewerCount = VIEWERS, longStays = 0 }: AudienceOptions = {}) {
    this.#proxies = proxies
    this.#random = random
    this.expected = viewerCount
    this.#longStays = longStays
  }

  /** How long they keep coming, milliseconds. */
  get durationMs(): number {
    return Math.ceil(this.expected / BUNCH) * BUNCH_EVERY_MS
  }

  get viewers(): readonly Viewer[] {
    return this.visits.map(({ viewer }) => viewer)
  }

  /** Viewers that were cut off by the death of their proxy. */
  get orphans(): number {
    return this.visits.filter(({ viewer, proxy }) => proxy.isDead && viewer.state === 'failed').length
  }

  /** Viewers that got neither bytes nor a time to come back, and whose proxy lived. */
  get failures(): readonly Viewer[] {
    const bad = this.visits.filter(({ viewer, proxy }) => !proxy.isDead && viewer.state !== 'served' && viewer.state !== 'refused')
    return bad.map(({ viewer }) => viewer)
  }

  /** Has all of them come and go. */
  async come(signal: AbortSignal): Promise<void> {
    const stays = Array.from({ length: this.expected }, (_, index) => {
      const stayMs = LEAST_STAY_MS + this.#random() * (MOST_STAY_MS - LEAST_STAY_MS)
      return () => (index < this.#longStays ? this.#dismissal.promise : sleep(stayMs))
    })
    await Promise.all(
      stays.map(async (stay, index) => {
        await sleep(Math.floor(index / BUNCH) * BUNCH_EVERY_MS, undefined, { signal })
        await this.#watch(index, stay)
      }),
    )
  }

  /** Lets the viewers leave that stay long. */
  dismiss(): void {
    this.#dismissal.resolve()
  }

  async #watch(index: number, stay: () => Promise<unknown>): Promise<void> {
    const living = this.#proxies.filter(({ isDead }) => !isDead)
    const proxy = living[index % living.length]
    if (proxy === undefined) throw new Error('no proxy lives')
    const infohash = (index * 1_000 + this.visits.length).toString(16).padStart(40, '0')
    const visit: FleetVisit = { viewer: new Viewer(proxy.url, infohash), proxy, infohash, isLeaving: false }
    const { viewer } = visit
    this.visits.push(visit)
    await Promise.race([stay(), viewer.gone])
    visit.isLeaving = true
    await viewer.leave()
    await viewer.gone
    if (proxy.isDead && viewer.state === 'failed') await this.#watch(index, stay)
  }
}
