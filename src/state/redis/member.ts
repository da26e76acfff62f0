import { StoreError } from '../../errors.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/logger.ts'
import { randomId } from '../../runtime/random.ts'
import type { Connection } from './connection.ts'
import { EndsHere } from './ends-here.ts'
import { type Answer, FleetView } from './fleet-view.ts'
import { JournalHere } from './journal-here.ts'
import { Keys } from './keys.ts'
import { RedisLink } from './link.ts'
import { RENEW } from './renew-script.ts'
import type { Script } from './script.ts'
import { LEAVE } from './slot-scripts.ts'
import { SlotsHere } from './slots-here.ts'

/** What a member is built from. */
export interface MemberParts {
  connection: Connection
  clock: Clock
  logger: Logger
  name: string
  timeoutMs: number
  slotTtlMs: number
  /** Whether to go by the time here instead of the server's. */
  isTimeOurs: boolean
}

/** A script's call. */
export interface Call {
  readonly script: Script
  /** Beyond those of the fleet. */
  readonly keys: string[]
  readonly args: string[]
  /** Milliseconds since the epoch. @default the clock's */
  readonly now?: number
}

/** Ends are told a thousand at a time; a renewal that never comes to an end would be a fault of its own. */
const MOST_ROUNDS = 200

/**
 * One life of one process in the fleet. Its name is made up anew each time: a proxy that was restarted is another member, and two processes
 * that share a proxy's name by mistake are two. What it holds is known here first; Redis follows.
 */
export class Member {
  readonly #parts: MemberParts
  readonly #link: RedisLink
  readonly #view = new FleetView()
  readonly id: string = randomId()
  readonly keys: Keys
  readonly slots: SlotsHere = new SlotsHere()
  readonly journal: JournalHere = new JournalHere()
  readonly ends: EndsHere = new EndsHere()
  #renewing: Promise<boolean> | undefined
  #callCount = 0
  #isClosed = false

  constructor(parts: MemberParts) {
    this.#parts = parts
    this.keys = new Keys(parts.name)
    this.#link = new RedisLink({ ...parts, onBack: () => this.#renewLater() })
  }

  /**
   * Runs a script; where Redis lost its memory, puts back what is held here and runs it again. All of that within the time-out.
   *
   * @throws {@link StoreError} `unavailable`, and nothing else
   */
  async ask(call: Call): Promise<unknown> {
    const { clock, timeoutMs } = this.#parts
    const begunAt = clock.now()
    const left = (): number => Math.min(timeoutMs, timeoutMs - (clock.now() - begunAt))
    const answer = await this.#run(call, timeoutMs)
    if (!answer.isLost) return answer.body
    await this.#within(left(), this.renew())
    const again = await this.#run(call, left())
    if (again.isLost) throw new StoreError('Redis lost what it knew once more', { reason: 'unavailable' })
    return again.body
  }

  /** Runs a script that does no harm on a server that lost its memory. `undefined`: Redis is away. */
  async tell(call: Call): Promise<unknown> {
    try {
      const answer = await this.#run(call, this.#parts.timeoutMs)
      if (answer.isLost) this.#renewLater()
      return answer.body
    } catch {
      return undefined
    }
  }

  /** A name for one call, by which a script knows it again: client libraries send a command again whose answer a broken connection took along. */
  nameCall(): string {
    this.#callCount += 1
    return `${this.id}.${this.#callCount}`
  }

  /** Answers whether all is as it should be there. Never rejects. */
  renew(): Promise<boolean> {
    if (this.#isClosed) return Promise.resolve(false)
    this.#renewing ??= this.#renewAll().finally(() => {
      this.#renewing = undefined
    })
    return this.#renewing
  }

  /** Leaves the fleet. Never rejects. */
  async leave(): Promise<void> {
    if (this.#isClosed) return
    // A renewal under way may have begun before the last change.
    await this.#renewing
    // There is no later occasion to say what could not be said.
    this.#link.tryNow()
    await this.renew()
    this.#isClosed = true
    const engines = [...this.slots.held(this.#parts.clock.now()).keys()].map((containerId) => this.keys.engine(containerId))
    const args = [this.keys.channel, this.journal.size > 0 ? '1' : '0']
    await this.#run({ script: LEAVE, keys: engines, args }, this.#parts.timeoutMs, true).catch(() => undefined)
  }

  async #run(call: Call, withinMs: number, isFarewell = false): Promise<Answer> {
    if (this.#isClosed && !isFarewell) throw new StoreError('The store is closed', { reason: 'unavailable' })
    const { clock, isTimeOurs, slotTtlMs } = this.#parts
    const { fleet, members, awaited } = this.keys
    const known = this.#view.asArguments
    const time = isTimeOurs ? String(call.now ?? clock.now()) : ''
    const args = [this.id, String(slotTtlMs), time, ...known, ...call.args]
    const answer = this.#view.read(await this.#link.run(call.script, [fleet, members, awaited, ...call.keys], args, withinMs), known[0])
    if (answer.wasDead && !answer.isLost && call.script !== RENEW) this.#renewLater()
    return answer
  }

  async #renewAll(): Promise<boolean> {
    for (let round = 0; round < MOST_ROUNDS; round += 1) {
      const outcome = await this.#renewOnce()
      if (outcome !== 'more') return outcome === 'done'
    }
    return false
  }

  async #renewOnce(): Promise<'done' | 'more' | 'failed'> {
    const { clock, timeoutMs } = this.#parts
    const { channel, journal, ended, lives } = this.keys
    const now = clock.now()
    const held = this.slots.held(now)
    const listed = (items: readonly (readonly string[])[]): string[] => [String(items.length), ...items.flat()]
    const perEngine = [...held.values()].flatMap(({ leases, streamIds }) => [
      ...listed(leases.map(({ leaseId, leftMs, isUnwritten }) => [leaseId, String(leftMs), isUnwritten ? '1' : '0'])),
      ...listed(streamIds.map((id) => [id])),
    ])
    const pages = this.journal.work()
    const ends = this.ends.work()
    const args = [channel, ...listed(this.#view.peers.map((id) => [id])), ...listed(this.slots.busy.map((field) => [field])), ...perEngine]
    args.push(...listed(pages.work.pages), ...listed(pages.work.settled.map((id) => [id])))
    args.push(...listed(ends.work.claimed.map(([id, { endedAt, life }]) => [id, String(now - endedAt), life])))
    args.push(...listed(ends.work.unclaimed.map((id) => [id])))
    const slotsDone = this.slots.beginRenewal()
    try {
      const keys = [journal, ended, lives, ...[...held.keys()].map((containerId) => this.keys.engine(containerId))]
      const [wasLost, missing, foreign] = (await this.#run({ script: RENEW, keys, args, now }, timeoutMs)).body as [
        number,
        number[],
        number[],
      ]
      slotsDone(true)
      pages.done(missing.map(Number), foreign.map(Number))
      ends.done()
      if (Number(wasLost) === 1) this.ends.lost()
      return missing.length > 0 || this.ends.hasWork ? 'more' : 'done'
    } catch {
      slotsDone(false)
      return 'failed'
    }
  }

  /** In the background: whoever found out that it is needed does not wait for it. */
  #renewLater(): void {
    void this.renew()
  }

  #within(ms: number, work: Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#parts.clock.setTimeout(resolve, Math.max(0, ms))
      work.then(() => resolve()).finally(() => timer.cancel())
    })
  }
}
