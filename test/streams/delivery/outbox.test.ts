import { describe, expect, it } from 'vitest'
import { Outbox, type OutboxEvent } from '../../../src/streams/delivery/outbox.ts'

/** So many events may be pending; `add` answers an event that goes on until it is done. */
function world(max: number) {
  const pending = new Outbox(max)
  const givenUp: string[] = []
  const add = (streamId: string) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const { outboxEvent, result } = pending.while({ streamId, event: 'ended' }, () => promise)
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

describe('the events that are undelivered', () => {
  it('have room for exactly as many as may be', () => {
    const { pending, add, givenUp } = world(2)
    add('a').hold()
    expect(pending.hasRoom).toBe(true)
    add('b').hold()
    expect([pending.hasRoom, givenUp]).toEqual([false, []])
  })

  it('make room for one more at once: the one that has been held up longest goes, however often it was held up', () => {
    const { add, givenUp, ids } = world(2)
    const a = add('a')
    a.hold()
    add('b').hold()
    a.hold()
    add('c')
    expect([givenUp, ids()]).toEqual([['a'], ['b', 'c']])
  })

  it('give none up that is not held up, until one is', () => {
    const { add, givenUp, ids } = world(1)
    const a = add('a')
    const b = add('b')
    expect([givenUp, ids()]).toEqual([[], ['a', 'b']])
    b.hold()
    expect([givenUp, ids()]).toEqual([['b'], ['a']])
    a.hold()
    expect(givenUp).toEqual(['b'])
  })

  it('forget what is done, and are idle when nothing is left', async () => {
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
