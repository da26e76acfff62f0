import { describe, expect, it } from 'vitest'
import { during, failureOf, playback, setup } from '../../support/setup.ts'

const ends = (byRoute: Record<string, number>) => byRoute['POST /events/stream_ended'] ?? 0

describe('requests that are never sent', () => {
  it.each([true, false])(
    'H7: the mapped address of an engine that is newer than the cached list is never sent (container id given: %s)',
    async (withId) => {
      const { client, clock, fake } = setup(
        { engines: [{ host: 'gluetun', port: 19_000 }] },
        { mapEngine: ({ port }) => ({ host: '10.0.0.9', port }) },
      )
      await client.listEngines()
      await clock.advance(3_600_000)
      const containerId = fake.addEngine({ host: 'gluetun', port: 19_001 })
      await client.streamStarted({ ...playback(), engine: { host: '10.0.0.9', port: 19_001, ...(withId ? { containerId } : {}) } })
      expect((await client.listEngines({ fresh: true })).map(({ host, port }) => `${host}:${port}`).toSorted()).toEqual([
        'gluetun:19000',
        'gluetun:19001',
      ])
    },
  )

  it('no end is sent for a start whose connection was refused, even if its stream is ended twice', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    fake.inject({ kind: 'refused', route: 'POST /events/stream_started' })
    const lease = await client.acquireEngine()
    const stream = await lease.startStream({ ...playback(), streamId: 'unsent' })
    expect(await stream.end()).toMatchObject({ outcome: 'not-announced' })
    expect(await client.streamEnded('unsent')).toEqual({ outcome: 'duplicate', attempts: 0 })
    await clock.advance(60_000)
    expect(ends(fake.counters.requests.byRoute)).toBe(0)
  })

  it('no end is sent for an id whose last start failed before it was sent, although an earlier stream of the id has ended', async () => {
    let fails = false
    const mapEngine = ({ host, port }: { host: string; port: number }) => {
      if (fails) throw new Error('mapEngine fails')
      return { host, port }
    }
    const { client, clock, fake } = setup({ engines: 1 }, { reconcileIntervalMs: 0, mapEngine })
    const [engine] = await during(clock, client.listEngines())
    const { host = '', port = 0 } = engine ?? {}
    const first = await during(clock, client.streamStarted({ ...playback(), streamId: 'reused', engine: { host, port } }))
    expect((await during(clock, first.end())).outcome).toBe('delivered')
    fails = true
    await failureOf(during(clock, client.streamStarted({ ...playback(), streamId: 'reused', engine: { host, port } })))
    expect(await during(clock, client.streamEnded('reused'))).toMatchObject({ outcome: 'not-announced' })
    expect(client.metrics().events.duplicatesPrevented).toBe(0)
    expect(ends(fake.counters.requests.byRoute)).toBe(1)
  })
})
