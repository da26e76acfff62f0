import type { FakeCounters } from './counters.ts'
import type { StreamEntry } from './stream-entry.ts'

interface Load {
  own: number
  total: number
}

const raise = (peaks: Record<string, number>, containerId: string, load: number): void => {
  if (load > (peaks[containerId] ?? 0)) peaks[containerId] = load
}

/** How many live streams every container has, listed or not, and the most it ever had. */
export class LoadBook {
  readonly #loads = new Map<string, Load>()

  /** Counts a stream in. */
  add(entry: StreamEntry, counters: FakeCounters): void {
    const { containerId } = entry
    const load = this.#loads.get(containerId) ?? { own: 0, total: 0 }
    this.#loads.set(containerId, load)
    load.total++
    if (entry.own) load.own++
    raise(counters.peakTotalLoad, containerId, load.total)
    raise(counters.peakLoad, containerId, load.own)
  }

  /** Counts a stream out. */
  remove(entry: StreamEntry): void {
    const load = this.#loads.get(entry.containerId)
    if (load === undefined) return
    load.total--
    if (entry.own) load.own--
    if (load.total === 0) this.#loads.delete(entry.containerId)
  }

  /** Makes the present load the peak. */
  notePeaks(counters: FakeCounters): void {
    for (const [containerId, load] of this.#loads) {
      raise(counters.peakTotalLoad, containerId, load.total)
      raise(counters.peakLoad, containerId, load.own)
    }
  }

  /** Nobody is anywhere. */
  clear(): void {
    this.#loads.clear()
  }
}
