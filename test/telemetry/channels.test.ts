import { channel, subscribe, unsubscribe } from 'node:diagnostics_channel'
import { type ClientEventName, OrchestratorClient } from 'acestream-orchestrator-client'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { diagnosticsChannel } from '../../src/runtime/platform.ts'
import { CLIENT_EVENT_NAMES, Emitter } from '../../src/telemetry/events.ts'
import { failureOf, playback, setup } from '../support/setup.ts'

const nameOf = (event: string) => `acestream-orchestrator-client:${event}`

/** Subscribes to a channel until the test is over. */
function follow(event: string, listener: (message: unknown) => void): void {
  subscribe(nameOf(event), listener)
  onTestFinished(() => void unsubscribe(nameOf(event), listener))
}

/** The life of a viewer, with an end that comes twice, a caller that is refused, and a health check. */
async function visit(client: OrchestratorClient): Promise<void> {
  const stream = await (await client.acquireEngine()).startStream(playback())
  await failureOf(client.acquireEngine({ waitMs: 0 }))
  await client.checkHealth()
  await stream.end('viewer left')
  await stream.end()
}

describe('the channels of diagnostics_channel', () => {
  it('publish the same objects as client.on, in the same order', async () => {
    const { client } = setup({ engines: 1 }, { dialect: 'unversioned' })
    const events: unknown[] = []
    const messages: unknown[] = []
    for (const name of CLIENT_EVENT_NAMES as ClientEventName[]) {
      client.on(name, (event: unknown) => events.push(event))
      follow(name, (message) => messages.push(message))
    }
    await visit(client)
    expect(events.length).toBeGreaterThan(9)
    expect(messages).toHaveLength(events.length)
    for (const [index, message] of messages.entries()) expect(message).toBe(events[index])
  })

  it('publish without any listener of client.on', async () => {
    const { client } = setup({ engines: 1 })
    const started: unknown[] = []
    follow('stream:started', (message) => started.push(message))
    await visit(client)
    expect(started).toEqual([{ streamId: expect.any(String), containerId: expect.any(String), durationMs: 0 }])
  })

  it('cost nothing without a subscriber: no event is made', async () => {
    const emit = vi.spyOn(Emitter.prototype, 'emit')
    const publish = vi.spyOn(Object.getPrototypeOf(channel('any')), 'publish').mockImplementation(() => {})
    const { client } = setup({ engines: 1 })
    await visit(client)
    await client.close()
    expect(emit).not.toHaveBeenCalled()
    expect(publish).not.toHaveBeenCalled()
    // The same visit makes events once anybody subscribes: the spy sees them.
    follow('engine:released', () => {})
    const another = setup({ engines: 1 }).client
    await visit(another)
    expect(emit).toHaveBeenCalledTimes(1)
  })

  it('publish nothing once the client is closed', async () => {
    const emitter = new Emitter(console)
    const received: unknown[] = []
    follow('capacity:waiting', (message) => received.push(message))
    emitter.to('capacity:waiting')?.({ waiting: 1 })
    emitter.clear()
    expect(emitter.has('capacity:waiting')).toBe(false)
    emitter.emit('capacity:waiting', { waiting: 2 })
    expect(received).toEqual([{ waiting: 1 }])
  })

  it.each([
    ['has no process, as a browser', undefined],
    ['has a process that loads no built-in module', {}],
    ['has no module of that name', { getBuiltinModule: () => undefined }],
  ])('are silent, and the client works, where the platform %s', async (_, process) => {
    vi.stubGlobal('process', process)
    try {
      const silent = diagnosticsChannel(nameOf('stream:started'))
      expect(silent.hasSubscribers).toBe(false)
      expect(() => silent.publish({})).not.toThrow()
      vi.resetModules()
      const fresh = await import('../../src/telemetry/events.ts')
      const emitter = new fresh.Emitter(console)
      expect(emitter.has('stream:started')).toBe(false)
      const received: unknown[] = []
      emitter.on('capacity:waiting', (event) => received.push(event))
      emitter.to('capacity:waiting')?.({ waiting: 1 })
      expect(received).toEqual([{ waiting: 1 }])
    } finally {
      vi.unstubAllGlobals()
    }
    expect(OrchestratorClient).toBeTypeOf('function')
  })
})
