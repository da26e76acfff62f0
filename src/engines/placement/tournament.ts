/** By which numbers the items of a {@link Tournament} are compared. */
export interface RankOf<Item> {
  /** How many numbers a rank has. */
  readonly length: number
  /** Writes the rank of an item into `ranks`, from the index `start` on: the most important number first. A lower number is better. */
  write(item: Item, ranks: Float64Array, start: number): void
}

/**
 * Knows the best item among a fixed number of places, and how many items are equally good. A change of one place compares as many items as a
 * knockout tournament has rounds: 14 for 10,000 places. The ranks lie in one array of numbers, because a comparison that reads them from the
 * items waits for the memory of each item.
 */
export class Tournament<Item> {
  readonly #rankOf: RankOf<Item>
  /** Number of leaves, a power of two. Node 1 is the root, nodes `n * 2` and `n * 2 + 1` are below node `n`, and the leaves come last. */
  readonly #leafCount: number
  readonly #items: (Item | undefined)[]
  /** The ranks of the items, one after the other. */
  readonly #ranks: Float64Array
  /** The place of the best item at or below each node. -1: there is no item. */
  readonly #best: Int32Array
  /** The number of items at or below each node that are as good as its best one. */
  readonly #bestCount: Int32Array
  /** How the best items of the two nodes below a node compare. Positive: that of the right one is better. */
  readonly #order: Int8Array

  /** How often two items were compared. */
  comparisonCount = 0

  /** @param size number of places, all of them empty */
  constructor(size: number, rankOf: RankOf<Item>) {
    this.#rankOf = rankOf
    this.#leafCount = 2 ** Math.ceil(Math.log2(Math.max(1, size)))
    this.#items = new Array<Item | undefined>(size).fill(undefined)
    this.#ranks = new Float64Array(size * rankOf.length)
    this.#best = new Int32Array(2 * this.#leafCount).fill(-1)
    this.#bestCount = new Int32Array(2 * this.#leafCount)
    this.#order = new Int8Array(this.#leafCount)
  }

  /** One of the best items; `undefined` if all places are empty. */
  get best(): Item | undefined {
    return this.#items[this.#bestAt(1)]
  }

  /** Number of items that are as good as {@link best}. */
  get bestCount(): number {
    return this.#bestCount[1] ?? 0
  }

  /** Fills all places at once. It compares each item about once. */
  fill(items: readonly (Item | undefined)[], countOf: (item: Item) => number = () => 1): void {
    for (const [place, item] of items.entries()) this.#setLeaf(place, item, item === undefined ? 0 : countOf(item))
    for (let node = this.#leafCount - 1; node > 0; node -= 1) {
      this.#order[node] = this.#compareBelow(node)
      this.#best[node] = this.#bestAt(this.#winnerBelow(node))
      this.#bestCount[node] = this.#countLeft(node) + this.#countRight(node)
    }
  }

  /**
   * Replaces the item of a place. Call it again when the rank of the item has changed.
   *
   * @param item `undefined`: the place is empty
   * @param count for how many equally good items it stands
   */
  set(place: number, item: Item | undefined, count = 1): void {
    this.#setLeaf(place, item, count)
    /** Whether the node below still has the same best item, with the same rank. */
    let isSame = false
    for (let node = (this.#leafCount + place) >> 1; node > 0; node >>= 1) {
      if (!isSame) this.#order[node] = this.#compareBelow(node)
      const best = this.#bestAt(this.#winnerBelow(node))
      const bestCount = this.#countLeft(node) + this.#countRight(node)
      isSame = best === this.#best[node] && best !== place
      if (isSame && bestCount === this.#bestCount[node]) return
      this.#best[node] = best
      this.#bestCount[node] = bestCount
    }
  }

  /**
   * The item at this position among the best items.
   *
   * @param position below {@link bestCount}
   * @param within finds the item if one of the best items stands for several
   * @returns `undefined` if all places are empty
   */
  at(position: number, within?: (item: Item, position: number) => Item | undefined): Item | undefined {
    let left = position
    let node = 1
    while (node < this.#leafCount) {
      const countLeft = this.#countLeft(node)
      node *= 2
      if (left < countLeft) continue
      left -= countLeft
      node += 1
    }
    const item = this.#items[this.#bestAt(node)]
    return item === undefined || within === undefined ? item : within(item, left)
  }

  #setLeaf(place: number, item: Item | undefined, count: number): void {
    this.#items[place] = item
    this.#best[this.#leafCount + place] = item === undefined ? -1 : place
    this.#bestCount[this.#leafCount + place] = item === undefined ? 0 : count
    if (item !== undefined) this.#rankOf.write(item, this.#ranks, place * this.#rankOf.length)
  }

  #bestAt(node: number): number {
    return this.#best[node] ?? -1
  }

  #compareBelow(node: number): number {
    const left = this.#bestAt(node * 2)
    const right = this.#bestAt(node * 2 + 1)
    if (right < 0) return -1
    if (left < 0) return 1
    this.comparisonCount += 1
    const { length } = this.#rankOf
    const ranks = this.#ranks
    let leftAt = left * length
    let rightAt = right * length
    for (const end = leftAt + length; leftAt < end; leftAt += 1, rightAt += 1) {
      const difference = (ranks[leftAt] ?? 0) - (ranks[rightAt] ?? 0)
      if (difference !== 0) return difference < 0 ? -1 : 1
    }
    return 0
  }

  /** The node below that has the best item. */
  #winnerBelow(node: number): number {
    return (this.#order[node] ?? 0) > 0 ? node * 2 + 1 : node * 2
  }

  /** How many of the best items of a node are below its left node. */
  #countLeft(node: number): number {
    return (this.#order[node] ?? 0) > 0 ? 0 : (this.#bestCount[node * 2] ?? 0)
  }

  #countRight(node: number): number {
    return (this.#order[node] ?? 0) < 0 ? 0 : (this.#bestCount[node * 2 + 1] ?? 0)
  }
}
