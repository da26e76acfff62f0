/** A timer armed on a {@link ManualClock}. */
export interface TimerEntry {
  readonly dueMs: number
  /** Order of arming. It decides between timers with the same due time. */
  readonly sequence: number
  readonly callback: () => void
  cancelled: boolean
}

const before = (a: TimerEntry, b: TimerEntry): boolean => (a.dueMs === b.dueMs ? a.sequence < b.sequence : a.dueMs < b.dueMs)

/** A binary heap of timers, earliest first. Cancelled timers are removed when they reach the top: simulations cancel tens of thousands. */
export class TimerHeap {
  readonly #heap: TimerEntry[] = []
  #live = 0

  /** Number of timers that have neither fired nor been cancelled. */
  get size(): number {
    return this.#live
  }

  /** Adds a timer. */
  push(entry: TimerEntry): void {
    this.#live++
    const heap = this.#heap
    heap.push(entry)
    for (let index = heap.length - 1; index > 0; ) {
      const parent = (index - 1) >> 1
      if (!before(heap[index] as TimerEntry, heap[parent] as TimerEntry)) break
      this.#swap(index, parent)
      index = parent
    }
  }

  /** Cancels a timer. Does nothing if it has fired. */
  cancel(entry: TimerEntry): void {
    if (entry.cancelled) return
    entry.cancelled = true
    this.#live--
  }

  /** Returns the earliest armed timer. */
  peek(): TimerEntry | undefined {
    while (this.#heap[0]?.cancelled === true) this.#removeFirst()
    return this.#heap[0]
  }

  /** Removes and returns the earliest armed timer. */
  pop(): TimerEntry | undefined {
    const first = this.peek()
    if (first === undefined) return undefined
    this.#removeFirst()
    this.cancel(first)
    return first
  }

  #removeFirst(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    heap[0] = last
    for (let index = 0; ; ) {
      const left = 2 * index + 1
      const right = left + 1
      let least = index
      if (left < heap.length && before(heap[left] as TimerEntry, heap[least] as TimerEntry)) least = left
      if (right < heap.length && before(heap[right] as TimerEntry, heap[least] as TimerEntry)) least = right
      if (least === index) return
      this.#swap(index, least)
      index = least
    }
  }

  #swap(a: number, b: number): void {
    const entry = this.#heap[a] as TimerEntry
    this.#heap[a] = this.#heap[b] as TimerEntry
    this.#heap[b] = entry
  }
}
