import { setTimeout as sleep } from 'node:timers/promises'
import type { World } from '../demo/world.ts'
import type { FleetVisit } from './audience.ts'

type Listing = Pick<World, 'liveStreams'>

const CHECK_EVERY_MS = 50

/** The streams that ran when Redis was killed, and which of them were ended since. */
export class Survivors {
  readonly visits: readonly FleetVisit[]
  /** Streams that were cut off or no longer listed before their viewers left by themselves. */
  readonly ended = new Set<FleetVisit>()
  readonly #world: Listing

  private constructor(world: Listing, visits: readonly FleetVisit[]) {
    this.#world = world
    this.visits = visits
  }

  /** Selects the streams that a viewer watches and the orchestrator lists now. */
  static async of(world: Listing, visits: readonly FleetVisit[]): Promise<Survivors> {
    const listed = await listedIn(world)
    const isRunning = ({ viewer, infohash, isLeaving }: FleetVisit) => viewer.state === 'watching' && !isLeaving && listed.has(infohash)
    return new Survivors(world, visits.filter(isRunning))
  }

  /** Returns the streams whose viewers have not left by themselves. */
  staying(): readonly FleetVisit[] {
    return this.visits.filter(({ isLeaving }) => !isLeaving)
  }

  /** Checks the streams until `signal` aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const staying = this.staying()
      const listed = await listedIn(this.#world)
      for (const visit of staying) {
        if (!visit.isLeaving && !listed.has(visit.infohash)) this.ended.add(visit)
      }
      for (const visit of this.visits) if (visit.viewer.state === 'failed') this.ended.add(visit)
      await sleep(CHECK_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  /** Waits `ms` milliseconds. Returns the watched streams that got no bytes in this time. */
  async silentWithin(ms: number, signal: AbortSignal): Promise<readonly FleetVisit[]> {
    const before = this.staying().map((visit) => [visit, visit.viewer.bytes] as const)
    await sleep(ms, undefined, { signal })
    return before.filter(([visit, bytes]) => !visit.isLeaving && visit.viewer.bytes === bytes).map(([visit]) => visit)
  }
}

async function listedIn(world: Listing): Promise<ReadonlySet<string>> {
  return new Set((await world.liveStreams()).map((streamId) => streamId.split('|')[0] ?? ''))
}
