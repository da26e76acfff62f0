import { MemoryStore, type Transport } from 'acestream-orchestrator-client'
import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { EnginesHost } from '../support/engines-host.ts'
import { CONTENT, world } from '../support/playback-world.ts'
import { connect, failureOf, setup } from '../support/setup.ts'

describe('joinStream', () => {
  it('opens no second session while the first is being closed, if a viewer who waited for that has left', async () => {
    const { clock, host, join } = world({ engines: 2 })
    host.onClose = () => ({ delayMs: 3_000 })
    const first = await join({ lingerMs: 0 })
    await first.leave()
    const leaving = new AbortController()
    const left = failureOf(join({ signal: leaving.signal }))
    await clock.advance(1_000)
    leaving.abort('left')
    expect(await left).toBe('left')
    void join().catch(() => {})
    await clock.advance(1_000)
    expect([host.sessions.size, host.openCount]).toEqual([1, 1])
  })

  it('rejects a caller after its own waitMs, if a more patient caller has left and another one has joined', async () => {
    const { clock, join } = world({ engines: 1, maxReplicas: 1 })
    await join({ key: 'other' })
    let settledAt: number | undefined
    const begunAt = clock.now()
    const note = (): void => {
      settledAt = clock.now() - begunAt
    }
    const leaving = new AbortController()
    void join({ waitMs: 10_000, provision: false }).then(note, note)
    void join({ waitMs: 60_000, provision: false, signal: leaving.signal }).catch(() => {})
    await clock.advance(1_000)
    leaving.abort()
    void join({ waitMs: 3_000, provision: false }).catch(() => {})
    await clock.advance(120_000)
    expect(settledAt).toBe(10_000)
  })

  it('ends the stream although a listener of viewer:joined aborted another caller', async () => {
    const { client, clock, host, join } = world({ engines: 1 })
    host.onOpen = () => ({ delayMs: 1_000 })
    const leaving = new AbortController()
    client.once('viewer:joined', () => leaving.abort('left'))
    const first = join()
    const second = failureOf(join({ signal: leaving.signal }))
    await clock.advance(1_000)
    await second
    await (await first).leave()
    await clock.advance(10_000)
    expect([client.metrics().streams.live, host.sessions.size]).toEqual([0, 0])
  })

  it.each(GENERATIONS)(
    'opens no second session if the last caller aborts in any microtask after the start, with %s',
    async (generation) => {
      const { clock, fake } = setup({ engines: 2, generation })
      const host = new EnginesHost(clock)
      let onStarted = (): void => {}
      const transport: Transport = {
        request: async (request) => {
          const answer = await fake.request(request)
          if (request.url.pathname.endsWith('stream_started')) onStarted()
          return answer
        },
      }
      const client = connect(fake, clock, { transport, watch: false })
      const join = (signal?: AbortSignal) => client.joinStream({ ...CONTENT, open: host.open, close: host.close, lingerMs: 0, signal })
      host.onClose = () => ({ delayMs: 3_000 })
      const failed: number[] = []
      let servedAt: number | undefined
      for (let steps = 0; steps < 80; steps += 1) {
        const leaving = new AbortController()
        onStarted = async () => {
          for (let step = 0; step < steps; step += 1) await Promise.resolve()
          leaving.abort('left')
        }
        const joining = join(leaving.signal).then(
          (viewer) => {
            servedAt ??= steps
            return viewer.leave()
          },
          () => {},
        )
        await joining
        onStarted = () => {}
        const next = join()
        await clock.advance(100)
        if (host.sessions.size > 1) failed.push(steps)
        await clock.advance(5_000)
        await (await next).leave()
        await clock.advance(5_000)
      }
      expect(servedAt).toBeGreaterThan(5)
      expect(failed).toEqual([])
    },
  )
})

describe('a client that closes', () => {
  it('lets no other client of its store have the slot of a playback that still opens, before it is closed', async () => {
    const store = new MemoryStore()
    const { client, clock, fake, host, join } = world({ engines: 1 }, { store })
    const other = connect(fake, clock, { store, proxyId: 'other' })
    host.onOpen = () => ({ delayMs: 2_000 })
    const joining = failureOf(join())
    await clock.advance(500)
    const closed = client.close({ timeoutMs: 10_000 })
    await joining
    let isServed = false
    const next = other.acquireEngine({ provision: false }).then(() => {
      isServed = true
    })
    await clock.advance(1_000)
    const wasServedEarly = isServed
    await clock.advance(9_000)
    await Promise.all([closed, next])
    expect(wasServedEarly).toBe(false)
    expect(host.closes).toEqual(new Map([['session 1', 1]]))
  })

  it('leaves no timer behind, if a playback opens after that and its close hangs', async () => {
    const { client, clock, host, join } = world({ engines: 1 })
    host.onOpen = () => ({ delayMs: 2_000 })
    host.onClose = () => ({ delayMs: Number.POSITIVE_INFINITY })
    const joining = failureOf(join({ playbackCloseTimeoutMs: 60_000 }))
    await clock.advance(500)
    const closed = client.close({ timeoutMs: 100 })
    await joining
    await clock.advance(100)
    await closed
    await clock.advance(1_900)
    expect(host.closes).toEqual(new Map([['session 1', 1]]))
    // One timer is the host's own: its close never settles.
    expect(clock.pendingCount).toBe(1)
  })
})

describe('open', () => {
  it('that returns a playback without a session has this playback closed', async () => {
    const { client } = world({ engines: 1 })
    const closed: unknown[] = []
    await failureOf(
      client.openStream({ ...CONTENT, open: (async () => ({ playback: 'p' })) as never, close: (playback) => closed.push(playback) }),
    )
    expect(closed).toEqual(['p'])
  })
})
