import { describe, expect, it, vi } from 'vitest'
import { type Waiter, WaitQueue } from '../../../src/engines/leases/wait-queue.ts'
import { setup } from '../../support/setup.ts'

/** How many waiting callers are read while 20 slots are released one by one, and each gets its next caller. */
async function readsOf(waiting: number, provision: boolean): Promise<number> {
  const slots = 20
  const { client } = setup({ engines: slots, provisionDelayMs: 60_000 }, { cacheTtlMs: 3_600_000, maxConcurrentProvisions: 1 })
  const held = await Promise.all(Array.from({ length: slots }, () => client.acquireEngine({ provision: false })))
  const served: number[] = []
  const line = Array.from({ length: waiting }, (_, index) =>
    client.acquireEngine({ provision, waitMs: 3_600_000 }).then(
      () => void served.push(index),
      () => {},
    ),
  )
  await vi.waitFor(() => expect(client.metrics().leases.waiting).toBe(waiting))
  let reads = 0
  const original: unknown = Reflect.get(WaitQueue.prototype, Symbol.iterator)
  const spy = vi.spyOn(WaitQueue.prototype, Symbol.iterator).mockImplementation(function* (this: WaitQueue): Generator<Waiter> {
    for (const waiter of (original as () => Iterable<Waiter>).call(this)) {
      reads += 1
      yield waiter
    }
  })
  for (const [index, lease] of held.entries()) {
    await lease.release()
    await line[index]
    await new Promise(setImmediate) // the round that served it is over
  }
  spy.mockRestore()
  expect(served).toEqual(held.map((_, index) => index))
  await client.close()
  return reads
}

describe('a slot that is freed while callers wait', () => {
  it.each([
    ['that accept no new engine', false],
    ['for which a new engine may be requested', true],
  ])('costs no more when many callers wait %s', async (_, provision) => {
    expect(await readsOf(500, provision)).toBe(await readsOf(50, provision))
  })
})
