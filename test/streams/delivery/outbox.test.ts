import { describe, expect, it } from 'vitest'
import { Outbox, type OutboxEvent } from '../../../src/streams/delivery/outbox.ts'

/** An outbox for `max` events. `add` adds an event that is in flight until `done()`. `hold()` marks it as stalled. */
function world(max: number) {
  const pending = new Outbox({ max, onEndsSettled: () => {} })
  const givenUp: string[] = []
  const add = (streamId: string) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { outboxEvent, result } = pending.track({ streamId, event: 'ended' }, () => promise)
    const done = (): Promise<void> => {
      resolve()
      return result
    }
    return { done, hold: () => hold(outboxEvent) }
  }
  const hold = (outboxEvent: OutboxEvent): void => outboxEvent.markStalled(() => givenUp.push(outboxEvent.streamId))
  const ids = () => pending.list.map(({ streamId }) => streamId)
  return { pending, givenUp, add, ids }
}

describe('undelivered events', () => {
  it('have room for one more until their number reaches the limit', () => {
    const { pending, add, givenUp } = world(2)
    add('a').hold()
    expect(pending.hasRoom).toBe(true)
    add('b').hold()
    expect([pending.hasRoom, givenUp]).toEqual([false, []])
  })

  it('make room for a new event at once: the event that stalled first is given up, even if it stalled again since', () => {
    const { add, givenUp, ids } = world(2)
    const a = add('a')
    a.hold()
    add('b').hold()
    a.hold()
    add('c')
    expect([givenUp, ids()]).toEqual([['a'], ['b', 'c']])
  })

  it('are given up beyond the limit only when they stall: events in flight stay', () => {
    const { add, givenUp, ids } = world(1)
    const a = add('a')
    const b = add('b')
    expect([givenUp, ids()]).toEqual([[], ['a', 'b']])
    b.hold()
    expect([givenUp, ids()]).toEqual([['b'], ['a']])
    a.hold()
    expect(givenUp).toEqual(['b'])
  })

  it('forget a delivered event, and idle() resolves when none is left', async () => {
    const { pending, add, givenUp, ids } = world(2)
    const a = add('a')
    a.hold()
    const idle = pending.idle()
    await a.done()
    await idle
    for (const id of ['b', 'c', 'd']) add(id).hold()
    expect([givenUp, ids()]).toEqual([['b'], ['c', 'd']])
  })
})
