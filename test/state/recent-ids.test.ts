import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RecentIds } from '../../src/state/recent-ids.ts'

/** The same with a `Map`: slower to forget, and with an object for each id. */
class Model {
  readonly #entries = new Map<string, [time: number, text: string]>()

  get size(): number {
    return this.#entries.size
  }

  timeOf(id: string): number | undefined {
    return this.#entries.get(id)?.[0]
  }

  textOf(id: string): string | undefined {
    return this.#entries.get(id)?.[1]
  }

  set(id: string, time: number, text = ''): void {
    this.#entries.delete(id)
    this.#entries.set(id, [time, text])
  }

  delete(id: string): boolean {
    return this.#entries.delete(id)
  }

  *[Symbol.iterator](): IterableIterator<[id: string, time: number, text: string]> {
    for (const [id, entry] of this.#entries) yield [id, ...entry]
  }
}

type Ids = RecentIds | Model

const OPERATIONS: Readonly<Record<string, (ids: Ids, id: string, time: number) => unknown>> = {
  set: (ids, id, time) => ids.set(id, time),
  'set with a text': (ids, id, time) => ids.set(id, time, `life ${time}`),
  delete: (ids, id) => ids.delete(id),
  read: (ids, id) => [ids.timeOf(id), ids.textOf(id)],
  'forget the oldest': (ids, _, time) => {
    for (const [id] of ids) {
      if (ids.size <= time % 20) return
      ids.delete(id)
    }
  },
}

describe('recent ids', () => {
  it('are those that a Map would hold, in the same order, after any operations', () => {
    const operation = fc.record({
      name: fc.constantFrom('set', 'set', 'set', 'set with a text', 'delete', 'read', 'forget the oldest'),
      // Few ids, so that they come again.
      id: fc.oneof(
        fc.nat({ max: 60 }).map((number) => `s${number}`),
        fc.constantFrom('', '__proto__', '\u{1F4FA}'),
      ),
      time: fc.nat(1_000),
    })
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 400, size: 'max' }), (operations) => {
        const [ids, model] = [new RecentIds(), new Model()]
        for (const { name, id, time } of operations) {
          const [found, expected] = [ids, model].map((each) => [OPERATIONS[name]?.(each, id, time), each.size])
          expect(found).toEqual(expected)
        }
        expect([...ids]).toEqual([...model])
        for (const [id, time, text] of model) expect([ids.timeOf(id), ids.textOf(id)]).toEqual([time, text])
      }),
      { seed: 20_261_127, numRuns: 60 },
    )
  })

  it('are all found among 5,000, of which many share a chain', () => {
    const ids = new RecentIds()
    const all = Array.from({ length: 5_000 }, (_, index) => `stream-${index}`)
    for (const [index, id] of all.entries()) ids.set(id, index)
    expect(all.map((id) => ids.timeOf(id))).toEqual(all.map((_, index) => index))
    for (const id of all.filter((_, index) => index % 2 === 0)) ids.delete(id)
    expect(all.map((id) => ids.timeOf(id) !== undefined)).toEqual(all.map((_, index) => index % 2 === 1))
  })
})
