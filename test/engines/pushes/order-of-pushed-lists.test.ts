import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { PushOrder } from '../../../src/engines/pushes/push-order.ts'
import { Sequence } from '../../../src/runtime/sequence.ts'

const START = 1_795_470_000_000_000_000n

function setup() {
  const sequence = new Sequence()
  const order = new PushOrder(sequence)
  let now = START
  /** The orchestrator's clock, a nanosecond later each time it is looked at. */
  const stamp = (): bigint => {
    now += 1n
    return now
  }
  const push = (takenAtNs: bigint | undefined, isInitial = false) =>
    order.place({ isInitial, ...(takenAtNs === undefined ? {} : { takenAtNs }) })
  return { sequence, order, stamp, push }
}

describe('a pushed list counts as requested', () => {
  it('when its connection was, if it was taken because of that', () => {
    const { sequence, order, stamp, push } = setup()
    const list = sequence.next()
    order.connecting()
    expect(push(stamp(), true)).toBe(list + 1)
  })

  it('when its predecessor was, while nothing proves more', () => {
    const { sequence, order, stamp, push } = setup()
    order.connecting()
    const number = push(stamp(), true)
    const acknowledged = sequence.next()
    expect(push(stamp())).toBe(number)
    expect(number).toBeLessThan(acknowledged)
  })

  it('before everything, if nothing is known of it: a message from before the connection may still be on its way', () => {
    const { order, stamp, push } = setup()
    order.connecting()
    expect(push(stamp())).toBe(0)
  })

  it('when a start was sent, if it was taken after that start, by one nanosecond', () => {
    const { order, stamp, push } = setup()
    order.connecting()
    const connected = push(stamp(), true)
    const asked = order.asked()
    const [just, after] = [stamp(), stamp()]
    order.acknowledged(asked, just)
    expect(push(just)).toBe(connected)
    expect(push(after)).toBe(asked)
  })

  it('before a start that was acknowledged since, if it was taken before that start', () => {
    const { order, stamp, push } = setup()
    order.connecting()
    const connected = push(stamp(), true)
    const late = stamp()
    const asked = order.asked()
    order.acknowledged(asked, stamp())
    expect(push(late)).toBe(connected)
  })

  it('before a start whose time was not told', () => {
    const { order, stamp, push } = setup()
    order.connecting()
    const connected = push(stamp(), true)
    order.acknowledged(order.asked(), undefined)
    expect(push(stamp())).toBe(connected)
  })
})

describe('a pushed list has no place', () => {
  it('if it was taken before its predecessor, or at the same time', () => {
    const { order, stamp, push } = setup()
    order.connecting()
    const older = stamp()
    const newer = stamp()
    push(newer, true)
    expect(push(older)).toBeUndefined()
    expect(push(newer)).toBeUndefined()
  })

  it('if it does not say when it was taken', () => {
    const { order, push } = setup()
    order.connecting()
    expect(push(undefined, true)).toBeUndefined()
  })
})

it('a new connection begins anew, whatever its orchestrator’s clock shows', () => {
  const { sequence, order, push } = setup()
  order.connecting()
  push(START + 3_600_000_000_000n, true)
  const before = sequence.next()
  order.connecting()
  expect(push(START, true)).toBe(before + 1)
  expect(push(START + 1n)).toBe(before + 1)
})

it('[I7] a thousand starts without a push are not all remembered, and none is believed too early for that', () => {
  const { order, stamp, push } = setup()
  order.connecting()
  push(stamp(), true)
  const starts = Array.from({ length: 1_000 }, () => {
    const sequence = order.asked()
    const atNs = stamp()
    order.acknowledged(sequence, atNs)
    return { sequence, atNs }
  })
  const middle = starts[500] as { sequence: number; atNs: bigint }
  expect(push(middle.atNs + 0n)).toBeLessThan(middle.sequence)
  const [last] = starts.slice(-1)
  expect(push(stamp())).toBe(last?.sequence)
})

it('[I1] whatever happens in whatever order, nothing counts as held by a push that was taken before it was applied', () => {
  type Step = { kind: 'start' | 'end' | 'push' | 'connect' | 'list'; late: number }
  const step = fc.record<Step>({
    kind: fc.constantFrom('start', 'end', 'end', 'push', 'push', 'connect', 'list'),
    late: fc.integer({ min: 0, max: 6 }),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { sequence, order, stamp, push } = setup()
      /** What was acknowledged here, and when the orchestrator had applied it. */
      const acknowledged: { number: number; atNs: bigint }[] = []
      /** Those of a connection that is given up never arrive. */
      const pushes = new Set<() => void>()
      /** Each arrives so many steps after it was sent. */
      let onTheWay: { due: number; arrive: () => void }[] = []
      const pushed = (takenAtNs: bigint, isInitial: boolean) => () => {
        const number = push(takenAtNs, isInitial)
        if (number === undefined) return
        for (const { number: at, atNs } of acknowledged) if (at < number) expect(atNs).toBeLessThan(takenAtNs)
      }
      steps.forEach(({ kind, late }, index) => {
        const later = (arrive: () => void): void => void onTheWay.push({ due: index + late, arrive })
        if (kind === 'start') {
          const asked = order.asked()
          const atNs = stamp()
          later(() => {
            order.acknowledged(asked, atNs)
            acknowledged.push({ number: sequence.next(), atNs })
          })
        } else if (kind === 'end') {
          const atNs = stamp()
          later(() => acknowledged.push({ number: sequence.next(), atNs }))
        } else if (kind === 'connect') {
          onTheWay = onTheWay.filter(({ arrive }) => !pushes.has(arrive))
          order.connecting()
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
      expect(true).toBe(true)
    }),
    { seed: 20_251_124, numRuns: 2_000 },
  )
})
