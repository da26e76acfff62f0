import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/runtime/logger.ts'
import { Emitter } from '../../src/telemetry/events.ts'
import { setup } from '../support/setup.ts'

const waiting = (count: number) => ({ waiting: count })

describe('a listener', () => {
  it('is called for its own events and no others, in the order of registration', () => {
    const emitter = new Emitter(silentLogger)
    const received: string[] = []
    emitter.on('capacity:waiting', ({ waiting: count }) => received.push(`first ${count}`))
    emitter.on('capacity:waiting', ({ waiting: count }) => received.push(`second ${count}`))
    emitter.on('provision:requested', () => received.push('never'))
    emitter.emit('capacity:waiting', waiting(1))
    emitter.emit('capacity:waiting', waiting(2))
    expect(received).toEqual(['first 1', 'second 1', 'first 2', 'second 2'])
  })

  it('affects neither other listeners nor the caller if it throws, and its error is logged once with the event', () => {
    const logged: unknown[] = []
    const emitter = new Emitter({
      ...silentLogger,
      error: (message, fields) => logged.push(['error', message, fields]),
      debug: (message, fields) => logged.push(['debug', message, fields]),
    })
    const received: number[] = []
    const error = new Error('the host’s mistake')
    emitter.on('capacity:waiting', () => {
      throw error
    })
    emitter.on('capacity:waiting', ({ waiting: count }) => received.push(count))
    expect(() => emitter.emit('capacity:waiting', waiting(1))).not.toThrow()
    emitter.emit('capacity:waiting', waiting(2))
    expect(received).toEqual([1, 2])
    expect(logged).toEqual([
      ['error', 'A listener threw', { event: 'capacity:waiting', error }],
      ['debug', 'A listener threw', { event: 'capacity:waiting', error }],
    ])
  })

  it('causes another error line if it throws with another message', async () => {
    const logged: string[] = []
    const emitter = new Emitter({ ...silentLogger, error: (_, fields) => logged.push(String(Reflect.get(fields ?? {}, 'error'))) })
    emitter.on('capacity:waiting', ({ waiting: count }) => Promise.reject(new Error(`mistake ${count}`)))
    for (const count of [1, 1, 2, 2]) emitter.emit('capacity:waiting', waiting(count))
    await new Promise((resolve) => setImmediate(resolve))
    expect(logged).toEqual(['Error: mistake 1', 'Error: mistake 2'])
  })

  it('is called once if it is added twice', () => {
    const emitter = new Emitter(silentLogger)
    let received = 0
    const listener = () => {
      received += 1
    }
    emitter.on('capacity:waiting', listener)
    emitter.on('capacity:waiting', listener)
    emitter.emit('capacity:waiting', waiting(1))
    expect(received).toBe(1)
  })

  it('is called for one event if it is added with once(), even if it emits the next event itself', () => {
    const emitter = new Emitter(silentLogger)
    const received: number[] = []
    emitter.once('capacity:waiting', ({ waiting: count }) => {
      received.push(count)
      emitter.emit('capacity:waiting', waiting(count + 1))
    })
    emitter.emit('capacity:waiting', waiting(1))
    emitter.emit('capacity:waiting', waiting(7))
    expect(received).toEqual([1])
  })

  it('is removed after one call if it is added with once(), even if it throws', () => {
    const emitter = new Emitter(silentLogger)
    let calls = 0
    emitter.once('capacity:waiting', () => {
      calls += 1
      throw new Error('the host’s mistake')
    })
    emitter.emit('capacity:waiting', waiting(1))
    emitter.emit('capacity:waiting', waiting(2))
    expect(calls).toBe(1)
  })

  it('is removed by off(), whether it was added with on() or with once()', () => {
    const emitter = new Emitter(silentLogger)
    const received: number[] = []
    const listener = ({ waiting: count }: { waiting: number }) => void received.push(count)
    emitter.on('capacity:waiting', listener)
    emitter.off('capacity:waiting', listener)
    emitter.once('capacity:waiting', listener)
    emitter.off('capacity:waiting', listener)
    emitter.off('capacity:waiting', listener) // already removed
    emitter.off('provision:requested', () => {}) // never added
    emitter.emit('capacity:waiting', waiting(1))
    expect(received).toEqual([])
  })

  it('does not affect the next listener if it removes itself when it is called', () => {
    const emitter = new Emitter(silentLogger)
    const received: string[] = []
    const first = () => {
      received.push('first')
      emitter.off('capacity:waiting', first)
    }
    emitter.on('capacity:waiting', first)
    emitter.on('capacity:waiting', () => received.push('second'))
    emitter.emit('capacity:waiting', waiting(1))
    emitter.emit('capacity:waiting', waiting(2))
    expect(received).toEqual(['first', 'second', 'second'])
  })

  it('is called from the next event on if it is added during an event', () => {
    const emitter = new Emitter(silentLogger)
    const received: string[] = []
    emitter.on('capacity:waiting', ({ waiting: count }) => {
      if (count === 1) emitter.on('capacity:waiting', () => received.push(`late ${count}`))
    })
    emitter.emit('capacity:waiting', waiting(1))
    expect(received).toEqual([])
    emitter.emit('capacity:waiting', waiting(2))
    expect(received).toEqual(['late 1'])
  })
})

describe('a listener of the client', () => {
  it('has no effect on the client if it throws: engines are acquired and released', async () => {
    const { client } = setup({ engines: 1 })
    for (const name of ['engines:refreshed', 'engine:acquired', 'engine:released'] as const) {
      client.on(name, () => {
        throw new Error(name)
      })
    }
    await (await client.acquireEngine()).release()
    expect((await client.acquireEngine({ waitMs: 0 })).engine.port).toBeGreaterThan(0)
    expect(client.metrics().leases).toMatchObject({ active: 1, acquired: 2 })
  })

  it('does not overtake the wait queue if it acquires an engine when a slot is released', async () => {
    const { client, clock } = setup({ engines: 1 })
    const held = await client.acquireEngine()
    const order: string[] = []
    const waiter = client.acquireEngine({ provision: false }).then((lease) => {
      order.push('waiter')
      return lease
    })
    await clock.settle()
    const late = Promise.withResolvers<void>()
    client.once('engine:released', () => {
      void client.acquireEngine({ provision: false }).then(() => {
        order.push('listener')
        late.resolve()
      })
    })
    await held.release()
    await (await waiter).release()
    await late.promise
    expect(order).toEqual(['waiter', 'listener'])
  })

  it('is not called any more once the client is closed', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { requestTimeoutMs: 60_000 })
    const stream = await (await client.acquireEngine()).startStream({
      keyType: 'infohash',
      key: 'a'.repeat(40),
      session: { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' },
    })
    fake.inject({ kind: 'lost-request', route: 'POST /events/stream_ended' })
    const received: unknown[] = []
    client.on('delivery:failed', (event) => received.push(event))
    client.on('stream:ended', (event) => received.push(event))
    const closing = client.close({ timeoutMs: 1_000 })
    await clock.advance(1_000)
    expect((await closing).undelivered).toEqual([{ streamId: stream.id, event: 'ended' }])
    await clock.settle()
    expect(received).toEqual([])
  })

  it('can be added with on() and once() and removed with off() in one chain of calls', () => {
    const { client } = setup()
    const listener = () => {}
    expect(client.on('engine:acquired', listener).once('engine:released', listener).off('engine:acquired', listener)).toBe(client)
  })
})
