import { setTimeout as sleep } from 'node:timers/promises'
import type { World } from '../demo/world.ts'
import type { FleetVisit } from './audience.ts'

type Listing = Pick<World, 'liveStreams'>

const LOOK_EVERY_MS = 50

/** Streams that ran when Redis went away, watched from outside. */
export class Survivors {
  readonly visits: readonly FleetVisit[]
  /** Cut off, or not listed any more, before their viewers left by themselves. */
  readonly ended = new Set<FleetVisit>()
  readonly #world: Listing

  private constructor(world: Listing, visits: readonly FleetVisit[]) {
    this.#world = world
    this.visits = visits
  }

  /** The streams that a viewer watches and the orchestrator lists now. */
  static async of(world: Listing, visits: readonly FleetVisit[]): Promise<Survivors> {
    const listed = await listedIn(world)
    const isRunning = ({ viewer, infohash, isLeaving }: FleetVisit) => viewer.state === 'watching' && !isLeaving && listed.has(infohash)
    return new Survivors(world, visits.filter(isRunning))
  }

  /** Streams whose viewers have not left by themselves. */
  staying(): readonly FleetVisit[] {
    return this.visits.filter(({ isLeaving }) => !isLeaving)
  }

  /** Looks until `signal` aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const staying = this.staying()
      const listed = await listedIn(this.#world)
      for (const visit of staying) {
        if (!visit.isLeaving && !listed.has(visit.infohash)) this.ended.add(visit)
      }
      for (const visit of this.visits) if (visit.viewer.state === 'failed') this.ended.add(visit)
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined)
    }
  }

  /** Streams that are still watched, and of which no bytes come for so long. */
  async silentWithin(ms: number, signal: AbortSignal): Promise<readonly FleetVisit[]> {
    const before = this.staying().map((visit) => [visit, visit.viewer.bytes] as const)
    await sleep(ms, undefined, { signal })
    return before.filter(([visit, bytes]) => !visit.isLeaving && visit.viewer.bytes === bytes).map(([visit]) => visit)
  }
}

async function listedIn(world: Listing): Promise<ReadonlySet<string>> {
  return new Set((await world.liveStreams()).map((streamId) => streamId.split('|')[0] ?? ''))
}
