import { Session } from 'node:inspector/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LinkedMap } from '../../src/runtime/linked-map.ts'

const SIZE = 5
const MODULE = new URL('../../src/runtime/linked-map.ts', import.meta.url).href
let copies = 0

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('set'), key: fc.nat(SIZE) }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('delete'), key: fc.nat(SIZE) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('iterate'), key: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('begin to iterate'), key: fc.constant(0) }) },
)

/** Sets the keys from 0 to `last`. */
function fill(linked: LinkedMap<number, number>, last: number): LinkedMap<number, number> {
  for (let key = 0; key <= last; key += 1) linked.set(key, key)
  return linked
}

/** How often V8 runs the most frequent block of `LinkedMap` while it lists the keys, after `prepare`; and the keys. */
async function runsOfListing(prepare: (linked: LinkedMap<number, number>) => void): Promise<{ keys: number[]; runs: number }> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  // V8 counts the blocks of functions that are compiled from now on: of another copy of the module.
  copies += 1
  const copy: typeof import('../../src/runtime/linked-map.ts') = await import(/* @vite-ignore */ `${MODULE}?copy=${copies}`)
  const linked = new copy.LinkedMap<number, number>()
  prepare(linked)
  await session.post('Profiler.takePreciseCoverage')
  const keys = Array.from(linked, ([key]) => key)
  const { result } = await session.post('Profiler.takePreciseCoverage')
  session.disconnect()
  const functions = result.filter(({ url }) => url.endsWith(`copy=${copies}`)).flatMap((script) => script.functions)
  return { keys, runs: Math.max(...functions.flatMap(({ ranges }) => ranges.map(({ count }) => count))) }
}

describe('a linked map', () => {
  it('does what a Map does, also while it is iterated', () => {
    const property = fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const linked = fill(new LinkedMap(), SIZE)
      const map = new Map(linked)
      let iterators = [map[Symbol.iterator](), linked[Symbol.iterator]()] as const
      for (const [index, { kind, key }] of steps.entries()) {
        if (kind === 'set') {
          map.set(key, index)
          linked.set(key, index)
        } else if (kind === 'delete') expect(linked.delete(key)).toBe(map.delete(key))
        else if (kind === 'iterate') expect(iterators[1].next()).toEqual(iterators[0].next())
        else iterators = [map[Symbol.iterator](), linked[Symbol.iterator]()]
        expect([linked.size, linked.has(key), linked.get(key)]).toEqual([map.size, map.has(key), map.get(key)])
      }
      expect([...linked]).toEqual([...map])
    })
    fc.assert(property, { seed: 20_261_127, numRuns: 500 })
  })

  it('passes no gap between its entries, wherever entries were deleted', async () => {
    const withGaps = await runsOfListing((linked) => {
      fill(linked, 1_000)
      for (let key = 0; key < 300; key += 1) linked.delete(key)
      for (let key = 900; key > 600; key -= 1) linked.delete(key)
      for (let key = 301; key <= 600; key += 1) linked.delete(key)
      linked.delete(300)
    })
    const without = await runsOfListing((linked) => fill(linked, 99))
    expect(withGaps.keys).toEqual(without.keys.map((key) => 901 + key))
    expect(without.runs).toBeGreaterThanOrEqual(100)
    expect(withGaps.runs).toBe(without.runs)
  })
})
