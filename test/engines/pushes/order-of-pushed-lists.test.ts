import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PushOrder } from '../../../src/engines/pushes/push-order.ts'
import { Sequence } from '../../../src/runtime/sequence.ts'

const START = 1_795_470_000_000_000_000n

function setup() {
  const sequence = new Sequence()
  const order = new PushOrder(sequence)
  let now = START
  /** Reads the orchestrator's clock, which advances by 1 ns with each read. */
  const stamp = (): bigint => {
    now += 1n
    return now
  }
  const push = (takenAtNs: bigint | undefined, isInitial = false) =>
    order.numberFor({ isInitial, ...(takenAtNs === undefined ? {} : { takenAtNs }) })
  return { sequence, order, stamp, push }
}

describe('the sequence number of a pushed list', () => {
  it('is the number of the connection request, for the first list of a connection', () => {
    const { sequence, order, stamp, push } = setup()
    const list = sequence.next()
    order.beginConnection()
    expect(push(stamp(), true)).toBe(list + 1)
  })

  it('is the number of the list before it, while nothing proves that it is newer', () => {
    const { sequence, order, stamp, push } = setup()
    order.beginConnection()
    const number = push(stamp(), true)
    const acknowledged = sequence.next()
    expect(push(stamp())).toBe(number)
    expect(number).toBeLessThan(acknowledged)
  })

  it('is 0 for a list that arrives before the first list of the connection: it may be older than the connection', () => {
    const { order, stamp, push } = setup()
    order.beginConnection()
    expect(push(stamp())).toBe(0)
  })

  it('is the number of a start, if the list was made at least 1 ns after the start was applied', () => {
    const { sequence, order, stamp, push } = setup()
    order.beginConnection()
    const connected = push(stamp(), true)
    const asked = sequence.next()
    const [just, after] = [stamp(), stamp()]
    order.addAnchor(asked, just)
    expect(push(just)).toBe(connected)
    expect(push(after)).toBe(asked)
  })

  it('is below the number of a start, if the list was made before the start was applied', () => {
    const { sequence, order, stamp, push } = setup()
    order.beginConnection()
    const connected = push(stamp(), true)
    const late = stamp()
    const asked = sequence.next()
    order.addAnchor(asked, stamp())
    expect(push(late)).toBe(connected)
  })

  it('is below the number of a start whose time is not known', () => {
    const { sequence, order, stamp, push } = setup()
    order.beginConnection()
    const connected = push(stamp(), true)
    order.addAnchor(sequence.next(), undefined)
    expect(push(stamp())).toBe(connected)
  })
})

describe('a pushed list is ignored', () => {
  it('if it was made before the last pushed list, or at the same time', () => {
    const { order, stamp, push } = setup()
    order.beginConnection()
    const older = stamp()
    const newer = stamp()
    push(newer, true)
    expect(push(older)).toBeUndefined()
    expect(push(newer)).toBeUndefined()
  })

  it('if it does not state when it was made', () => {
    const { order, push } = setup()
    order.beginConnection()
    expect(push(undefined, true)).toBeUndefined()
  })
})

it('a new connection accepts lists though the orchestrator’s clock was set back by an hour', () => {
  const { sequence, order, push } = setup()
  order.beginConnection()
  push(START + 3_600_000_000_000n, true)
  const before = sequence.next()
  order.beginConnection()
  expect(push(START, true)).toBe(before + 1)
  expect(push(START + 1n)).toBe(before + 1)
})

it('[I7] of 1,000 starts without a push not all are remembered, and this never makes a pushed list count as newer than it is', () => {
  const { sequence, order, stamp, push } = setup()
  order.beginConnection()
  push(stamp(), true)
  const starts = Array.from({ length: 1_000 }, () => {
    const number = sequence.next()
    const atNs = stamp()
    order.addAnchor(number, atNs)
    return { number, atNs }
  })
  const middle = starts[500] as { number: number; atNs: bigint }
  expect(push(middle.atNs + 0n)).toBeLessThan(middle.number)
  const [last] = starts.slice(-1)
  expect(push(stamp())).toBe(last?.number)
})

it('[I1] in 2,000 random orders of messages, no pushed list counts as newer than an event that was applied after the list was made', () => {
  type Step = { kind: 'start' | 'end' | 'push' | 'connect' | 'list'; late: number }
  const step = fc.record<Step>({
    kind: fc.constantFrom('start', 'end', 'end', 'push', 'push', 'connect', 'list'),
    late: fc.integer({ min: 0, max: 6 }),
  })
  /** How often a pushed list counted as newer than an event. */
  let comparedCount = 0
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { sequence, order, stamp, push } = setup()
      /** Acknowledged events: the sequence number of each, and when the orchestrator applied it. */
      const acknowledged: { number: number; atNs: bigint }[] = []
      /** Pushed lists on the way. They never arrive when their connection is replaced. */
      const pushes = new Set<() => void>()
      /** Messages on the way. Each arrives `late` steps after it was sent. */
      let onTheWay: { due: number; arrive: () => void }[] = []
      const pushed = (takenAtNs: bigint, isInitial: boolean) => () => {
        const number = push(takenAtNs, isInitial)
        if (number === undefined) return
        for (const { number: at, atNs } of acknowledged) {
          if (at >= number) continue
          comparedCount += 1
          expect(atNs).toBeLessThan(takenAtNs)
        }
      }
      steps.forEach(({ kind, late }, index) => {
        const later = (arrive: () => void): void => void onTheWay.push({ due: index + late, arrive })
        if (kind === 'start') {
          const asked = sequence.next()
          const atNs = stamp()
          later(() => {
            order.addAnchor(asked, atNs)
            acknowledged.push({ number: sequence.next(), atNs })
          })
        } else if (kind === 'end') {
          const atNs = stamp()
          later(() => acknowledged.push({ number: sequence.next(), atNs }))
        } else if (kind === 'connect') {
          onTheWay = onTheWay.filter(({ arrive }) => !pushes.has(arrive))
          order.beginConnection()
          const arrive = pushed(stamp(), true)
          pushes.add(arrive)
          later(arrive)
        } else if (kind === 'push') {
          const arrive = pushed(stamp(), false)
          pushes.add(arrive)
          later(arrive)
        } else sequence.next()
        for (const { arrive } of onTheWay.filter(({ due }) => due <= index)) arrive()
        onTheWay = onTheWay.filter(({ due }) => due > index)
      })
    }),
    { seed: 20_251_124, numRuns: 2_000 },
  )
  expect(comparedCount).toBeGreaterThan(300)
})
