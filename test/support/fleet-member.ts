import { setTimeout as sleep } from 'node:timers/promises'
import type { JournalEntry } from 'acestream-orchestrator-client'
import type { RedisStore } from 'acestream-orchestrator-client/redis'
import { clock, type Fleet, type FleetStoreOptions, slot } from './redis-fleet.ts'

export const SLOT_TTL_MS = 15_000
const STEP_MS = 250

export const entryOf = (streamId: string, life?: string): JournalEntry => ({
  streamId,
  containerId: 'a',
  proxyId: 'p',
  isOver: false,
  life,
})

/** A proxy that renews its store when due, and takes over every journal entry that it recovers. It uses the times of production. */
export class FleetMember {
  readonly name: string
  readonly store: RedisStore
  /** The journal entries of other proxies that it took over. */
  readonly recovered: JournalEntry[] = []
  /** While `true`, its commands fail at once, as on a lost connection. */
  isCut = false
  /** While `true`, the process stands still: it does not renew. */
  isPaused = false
  readonly #traffic: { unanswered: number }
  #renewedAt = Number.NEGATIVE_INFINITY
  #renewing = false

  private constructor(name: string, store: RedisStore, traffic: { unanswered: number }) {
    this.name = name
    this.store = store
    this.#traffic = traffic
  }

  static async join(fleet: Fleet, name: string, options: FleetStoreOptions = {}): Promise<FleetMember> {
    const traffic = { unanswered: 0 }
    const { deliver = (send: () => Promise<unknown>) => send() } = options
    const member: FleetMember = new FleetMember(
      name,
      await fleet.store({
        timeoutMs: 1_000,
        slotTtlMs: SLOT_TTL_MS,
        ...options,
        deliver: async (send) => {
          traffic.unanswered += 1
          try {
            if (member.isCut) throw new Error('Connection is closed.')
            return await deliver(send)
          } finally {
            traffic.unanswered -= 1
          }
        },
      }),
      traffic,
    )
    await member.renew()
    return member
  }

  /** Whether no command and no renewal of this proxy is in progress. */
  get isAtRest(): boolean {
    return this.#traffic.unanswered === 0 && !this.#renewing
  }

  /** Occupies one engine with a stream, writes the stream's journal entry, and takes a lease on another engine. */
  async hold(): Promise<void> {
    const { name, store } = this
    await store.append(entryOf(`stream of ${name}`))
    await store.occupy(`engine of ${name}`, `stream of ${name}`)
    await store.take(slot(`lease of ${name}`, [`spare of ${name}`], 1, 3_600_000))
  }

  async renew(): Promise<void> {
    this.#renewedAt = clock.monotonic()
    this.#renewing = true
    await this.store.renew()
    this.recovered.push(...(await this.store.recover()))
    this.#renewing = false
  }

  /** Renews if that is due, as a client does. */
  renewIfDue(): void {
    const isDue = clock.monotonic() - this.#renewedAt >= this.store.renewIntervalMs
    if (isDue && !this.#renewing && !this.isPaused) void this.renew()
  }
}

/** Advances the clock by `ms`; each proxy renews when due. If Redis is answering, each step waits until all commands are finished. */
export async function live(members: readonly FleetMember[], ms: number, { isAnswering = true } = {}): Promise<void> {
  for (let passed = 0; passed < ms; passed += STEP_MS) {
    for (const member of members) member.renewIfDue()
    if (isAnswering) await rest(members)
    else await sleep(1) // for the sockets
    await clock.advance(STEP_MS)
  }
  if (isAnswering) await rest(members)
}

/** Waits until no command and no renewal of these proxies is in progress. The clock does not advance. */
export async function rest(members: readonly FleetMember[]): Promise<void> {
  for (let calm = 0; calm < 2; calm += 1) {
    await clock.settle()
    while (!members.every(({ isAtRest }) => isAtRest)) {
      await sleep(1) // for the sockets
      calm = 0
    }
  }
}

/** The engines that have a free slot, or `'unavailable'` if the store is unavailable. Releases each slot that it takes at once. */
export async function freeAmong(store: RedisStore, engines: readonly string[]): Promise<readonly string[] | 'unavailable'> {
  const free: string[] = []
  try {
    for (const engine of engines) {
      if ((await store.take(slot(`probe of ${engine}`, [engine]))) === undefined) continue
      free.push(engine)
      await store.releaseLease(`probe of ${engine}`)
    }
    return free
  } catch (error) {
    if ((error as { reason?: string }).reason === 'unavailable') return 'unavailable'
    throw error
  }
}
