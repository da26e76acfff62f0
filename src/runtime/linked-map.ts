/** An entry, or the empty place after the last entry. */
interface Place<Key, Value> {
  entry: { readonly key: Key; value: Value } | undefined
  previous: Place<Key, Value> | undefined
  next: Place<Key, Value> | undefined
}

/**
 * A map for queues. It does what a `Map` does, and finds its first entry at once. A `Map` first passes the gaps of all entries that were deleted
 * before it: with 10,000 entries of which the first leaves and a new one comes, that takes longer than serving a caller.
 */
export class LinkedMap<Key, Value> {
  readonly #places = new Map<Key, Place<Key, Value>>()
  /** The place after the last entry. The next new entry takes it, so an iteration that has arrived there finds that entry. */
  #end: Place<Key, Value> = { entry: undefined, previous: undefined, next: undefined }
  #first = this.#end

  get size(): number {
    return this.#places.size
  }

  has(key: Key): boolean {
    return this.#places.has(key)
  }

  get(key: Key): Value | undefined {
    return this.#places.get(key)?.entry?.value
  }

  /** Sets a value. A new key comes last, another key keeps its place. */
  set(key: Key, value: Value): void {
    const known = this.#places.get(key)?.entry
    if (known !== undefined) {
      known.value = value
      return
    }
    const place = this.#end
    this.#places.set(key, place)
    place.entry = { key, value }
    this.#end = { entry: undefined, previous: place, next: undefined }
    place.next = this.#end
  }

  /** Returns whether the key was here. */
  delete(key: Key): boolean {
    const place = this.#places.get(key)
    if (place?.next === undefined) return false
    this.#places.delete(key)
    const { previous, next } = place
    if (previous === undefined) this.#first = next
    else previous.next = next
    next.previous = previous
    // It keeps its `next`: an iteration that has arrived here goes on from here.
    place.entry = undefined
    return true
  }

  /** The entries in the order of their keys. Entries may be set and deleted during the iteration. */
  *[Symbol.iterator](): IterableIterator<[Key, Value]> {
    for (let place: Place<Key, Value> | undefined = this.#first; place !== undefined; place = place.next) {
      const { entry } = place
      if (entry !== undefined) yield [entry.key, entry.value]
    }
  }
}
