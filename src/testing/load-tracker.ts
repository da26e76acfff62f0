import type { FakeCounters } from './counters.ts'
import type { StreamEntry } from './stream-entry.ts'

interface Load {
  own: number
  total: number
}

const raise = (peaks: Record<string, number>, containerId: string, load: number): void => {
  if (load > (peaks[containerId] ?? 0)) peaks[containerId] = load
}

/** Counts the live streams of every container, listed or not, and raises the peaks. */
export class LoadTracker {
  readonly #loads = new Map<string, Load>()

  /** Adds a stream to the load of its container, and raises the peaks. */
  add(entry: StreamEntry, counters: FakeCounters): void {
    const { containerId } = entry
    const load = this.#loads.get(containerId) ?? { own: 0, total: 0 }
    this.#loads.set(containerId, load)
    load.total++
    if (entry.own) load.own++
    raise(counters.peakTotalLoad, containerId, load.total)
    raise(counters.peakLoad, containerId, load.own)
  }

  /** Removes a stream from the load of its container. */
  remove(entry: StreamEntry): void {
    const load = this.#loads.get(entry.containerId)
    if (load === undefined) return
    load.total--
    if (entry.own) load.own--
    if (load.total === 0) this.#loads.delete(entry.containerId)
  }

  /** Raises the peaks to the present load. */
  notePeaks(counters: FakeCounters): void {
    for (const [containerId, load] of this.#loads) {
      raise(counters.peakTotalLoad, containerId, load.total)
      raise(counters.peakLoad, containerId, load.own)
    }
  }

  /** Sets the load of all containers to zero. */
  clear(): void {
    this.#loads.clear()
  }
}
