import { describe, expect, it } from 'vitest'
import { silentLogger } from '../../src/runtime/logger.ts'
import { Emitter } from '../../src/telemetry/emitter.ts'
import { setup } from '../support/setup.ts'

const waiting = (count: number) => ({ waiting: count })

describe('a listener', () => {
  it('hears its own events and no others, in the order of registration', () => {
    const emitter = new Emitter(silentLogger)
    const heard: string[] = []
    emitter.on('capacity:waiting', ({ waiting: count }) => heard.push(`first ${count}`))
    emitter.on('capacity:waiting', ({ waiting: count }) => heard.push(`second ${count}`))
    emitter.on('provision:requested', () => heard.push('never'))
    emitter.emit('capacity:waiting', waiting(1))
    emitter.emit('capacity:waiting', waiting(2))
    expect(heard).toEqual(['first 1', 'second 1', 'first 2', 'second 2'])
  })

  it('that throws stops neither the others nor the caller, and is an error in the log once, with the event', () => {
    const logged: unknown[] = []
    const emitter = new Emitter({
      ...silentLogger,
      error: (message, fields) => logged.push(['error', message, fields]),
      debug: (message, fields) => logged.push(['debug', message, fields]),
    })
    const heard: number[] = []
    const error = new Error('the host’s mistake')
    emitter.on('capacity:waiting', () => {
      throw error
    })
    emitter.on('capacity:waiting', ({ waiting: count }) => heard.push(count))
    expect(() => emitter.emit('capacity:waiting', waiting(1))).not.toThrow()
    emitter.emit('capacity:waiting', waiting(2))
    expect(heard).toEqual([1, 2])
    expect(logged).toEqual([
      ['error', 'A listener threw', { event: 'capacity:waiting', error }],
      ['debug', 'A listener threw', { event: 'capacity:waiting', error }],
    ])
  })

  it('that throws another message is another error in the log', async () => {
    const logged: string[] = []
    const emitter = new Emitter({ ...silentLogger, error: (_, fields) => logged.push(String(Reflect.get(fields ?? {}, 'error'))) })
    emitter.on('capacity:waiting', ({ waiting: count }) => Promise.reject(new Error(`mistake ${count}`)))
    for (const count of [1, 1, 2, 2]) emitter.emit('capacity:waiting', waiting(count))
    await new Promise((resolve) => setImmediate(resolve))
    expect(logged).toEqual(['Error: mistake 1', 'Error: mistake 2'])
  })

  it('registered twice hears once', () => {
    const emitter = new Emitter(silentLogger)
    let heard = 0
    const listener = () => {
      heard += 1
    }
    emitter.on('capacity:waiting', listener)
    emitter.on('capacity:waiting', listener)
    emitter.emit('capacity:waiting', waiting(1))
    expect(heard).toBe(1)
  })

  it('for once hears one event, even one that it causes itself', () => {
    const emitter = new Emitter(silentLogger)
    const heard: number[] = []
    emitter.once('capacity:waiting', ({ waiting: count }) => {
      heard.push(count)
      emitter.emit('capacity:waiting', waiting(count + 1))
    })
    emitter.emit('capacity:waiting', waiting(1))
    emitter.emit('capacity:waiting', waiting(7))
    expect(heard).toEqual([1])
  })

  it('for once that throws is gone all the same', () => {
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

  it('is taken off again however it was put on', () => {
    const emitter = new Emitter(silentLogger)
    const heard: number[] = []
    const listener = ({ waiting: count }: { waiting: number }) => void heard.push(count)
    emitter.on('capacity:waiting', listener)
    emitter.off('capacity:waiting', listener)
    emitter.once('capacity:waiting', listener)
    emitter.off('capacity:waiting', listener)
    emitter.off('capacity:waiting', listener) // not there any more
    emitter.off('provision:requested', () => {}) // never was
    emitter.emit('capacity:waiting', waiting(1))
    expect(heard).toEqual([])
  })

  it('that takes itself off while it hears disturbs nobody behind it', () => {
    const emitter = new Emitter(silentLogger)
    const heard: string[] = []
    const leaver = () => {
      heard.push('leaver')
      emitter.off('capacity:waiting', leaver)
    }
    emitter.on('capacity:waiting', leaver)
    emitter.on('capacity:waiting', () => heard.push('stayer'))
    emitter.emit('capacity:waiting', waiting(1))
    emitter.emit('capacity:waiting', waiting(2))
    expect(heard).toEqual(['leaver', 'stayer', 'stayer'])
  })

  it('added while an event is told hears the next one first', () => {
    const emitter = new Emitter(silentLogger)
    const heard: string[] = []
    emitter.on('capacity:waiting', ({ waiting: count }) => {
      if (count === 1) emitter.on('capacity:waiting', () => heard.push(`late ${count}`))
    })
    emitter.emit('capacity:waiting', waiting(1))
    expect(heard).toEqual([])
    emitter.emit('capacity:waiting', waiting(2))
    expect(heard).toEqual(['late 1'])
  })
})

describe('a listener of the client', () => {
  it('that throws harms nothing: engines are acquired, streams run and end', async () => {
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

  it('may call the client: who acquires when a slot comes back does not overtake the line', async () => {
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

  it('hears nothing once the client is closed', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { requestTimeoutMs: 60_000 })
    const stream = await (await client.acquireEngine()).startStream({
      keyType: 'infohash',
      key: 'a'.repeat(40),
      session: { playbackSessionId: 's', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd' },
    })
    fake.inject({ kind: 'lost-request', route: 'POST /events/stream_ended' })
    const heard: unknown[] = []
    client.on('delivery:failed', (event) => heard.push(event))
    client.on('stream:ended', (event) => heard.push(event))
    const closing = client.close({ timeoutMs: 1_000 })
    await clock.advance(1_000)
    expect((await closing).undelivered).toEqual([{ streamId: stream.id, event: 'ended' }])
    await clock.settle()
    expect(heard).toEqual([])
  })

  it('may be put on, for once, and off in one chain', () => {
    const { client } = setup()
    const listener = () => {}
    expect(client.on('engine:acquired', listener).once('engine:released', listener).off('engine:acquired', listener)).toBe(client)
  })
})
