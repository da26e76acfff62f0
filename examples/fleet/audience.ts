import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from 'acestream-orchestrator-client'
import { Viewer } from '../demo/viewer.ts'

/** A proxy, as viewers use it. */
export interface Address {
  readonly url: string
  /** Whether the proxy was killed. */
  isDead: boolean
}

/** One viewer at one proxy. */
export interface FleetVisit {
  readonly viewer: Viewer
  readonly proxy: Address
  readonly infohash: string
  /** Whether the viewer has begun to leave by itself. */
  isLeaving: boolean
}

/** Options of {@link Audience}. */
export interface AudienceOptions {
  /** Number of viewers. @default 108 */
  viewerCount?: number | undefined
  /** Number of viewers that stay until {@link Audience.dismiss}: the first ones. @default 0 */
  longStays?: number | undefined
}

const VIEWERS = 108
/** Viewers come in bunches, so that several proxies choose engines at the same moment. */
const BUNCH = 9
const BUNCH_EVERY_MS = 1_200
const MIN_STAY_MS = 1_500
const MAX_STAY_MS = 5_500

/** Viewers at several proxies. If its proxy is killed, a viewer retries at another proxy, as players behind a load balancer do. */
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

  /** Milliseconds from the first bunch to the last. */
  get durationMs(): number {
    return Math.ceil(this.expected / BUNCH) * BUNCH_EVERY_MS
  }

  get viewers(): readonly Viewer[] {
    return this.visits.map(({ viewer }) => viewer)
  }

  /** Number of viewers that were cut off when their proxy was killed. */
  get cutOffByKill(): number {
    return this.visits.filter(({ viewer, proxy }) => proxy.isDead && viewer.state === 'failed').length
  }

  /** Viewers of living proxies that got neither bytes nor a `Retry-After`. */
  get failures(): readonly Viewer[] {
    const bad = this.visits.filter(({ viewer, proxy }) => !proxy.isDead && viewer.state !== 'served' && viewer.state !== 'refused')
    return bad.map(({ viewer }) => viewer)
  }

  /** Lets all viewers come and go. */
  async come(signal: AbortSignal): Promise<void> {
    const stays = Array.from({ length: this.expected }, (_, index) => {
      const stayMs = MIN_STAY_MS + this.#random() * (MAX_STAY_MS - MIN_STAY_MS)
      return () => (index < this.#longStays ? this.#dismissal.promise : sleep(stayMs))
    })
    await Promise.all(
      stays.map(async (stay, index) => {
        await sleep(Math.floor(index / BUNCH) * BUNCH_EVERY_MS, undefined, { signal })
        await this.#watch(index, stay)
      }),
    )
  }

  /** Lets the viewers with long stays leave. */
  dismiss(): void {
    this.#dismissal.resolve()
  }

  async #watch(index: number, stay: () => Promise<unknown>): Promise<void> {
    const living = this.#proxies.filter(({ isDead }) => !isDead)
    const proxy = living[index % living.length]
    if (proxy === undefined) throw new Error('all proxies are dead')
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
