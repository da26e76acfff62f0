import {
  CapacityError,
  ClientClosedError,
  type Clock,
  type JoinStreamOptions,
  type PlaybackError,
  StreamLostError,
  type StreamViewer,
} from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { EnginesHost, type TestPlayback } from '../support/engines-host.ts'
import { CONTENT, world as playbackWorld } from '../support/playback-world.ts'
import { connect, during, failureOf, setup } from '../support/setup.ts'

const refused = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })

/** `joinMany` joins as often as `count` says, at the same time. */
function world(...parameters: Parameters<typeof playbackWorld>) {
  const built = playbackWorld(...parameters)
  const joinMany = (count: number, options: Partial<JoinStreamOptions<TestPlayback>> = {}) =>
    Promise.all(Array.from({ length: count }, () => built.join(options)))
  return { ...built, joinMany }
}

describe('joinStream', () => {
  it('opens one session, one slot and one start for all viewers of a content, and one viewer is the first', async () => {
    const { client, fake, host, join, joinMany } = world({ engines: 3 })
    const viewers = [...(await joinMany(20)), await join()]
    expect(new Set(viewers.map(({ stream }) => stream)).size).toBe(1)
    expect(viewers.map(({ isFirst }) => isFirst)).toEqual(viewers.map((_, place) => place === 0))
    expect([host.openCount, fake.counters.startsApplied, client.metrics().streams]).toEqual([
      1,
      1,
      { live: 1, shared: 1, viewers: 21, lingering: 0 },
    ])
  })

  it('shares between keys that differ in case, and neither between a content id and an infohash nor between variants', async () => {
    const { host, join } = world({ engines: 9 })
    const first = await join()
    expect((await join({ key: 'A'.repeat(40) })).stream).toBe(first.stream)
    expect((await join({ keyType: 'content_id' })).stream).not.toBe(first.stream)
    expect((await join({ variant: 'hls' })).stream).not.toBe(first.stream)
    expect((await join({ keyType: 'magnet', key: 'AB' })).stream).not.toBe((await join({ keyType: 'magnet', key: 'ab' })).stream)
    expect(host.openCount).toBe(5)
  })

  it('ends the stream when the last viewer has lingered for lingerMs, and sends the reason of the last one', async () => {
    const { client, fake, host, joinMany, clock } = world({ engines: 1 })
    const ended: unknown[] = []
    client.on('stream:ended', ({ reason }) => ended.push(reason))
    const [first, second] = await joinMany(2)
    await first?.leave('gone')
    await second?.leave('bored')
    await second?.leave('again')
    await clock.advance(4_999)
    expect([client.metrics().streams, host.sessions.size]).toEqual([{ live: 1, shared: 0, viewers: 0, lingering: 1 }, 1])
    await clock.advance(1)
    expect([ended, host.sessions.size, fake.counters.endsApplied]).toEqual([['bored'], 0, 1])
    expect(client.metrics().streams).toEqual({ live: 0, shared: 0, viewers: 0, lingering: 0 })
    expect(first?.stream.lost.aborted).toBe(false)
  })

  it('is open for a viewer who comes back while it lingers', async () => {
    const { client, host, join, clock } = world({ engines: 1 })
    const first = await join()
    await first.leave()
    await clock.advance(4_000)
    const back = await join()
    await clock.advance(60_000)
    expect([back.stream === first.stream, back.isFirst, host.openCount]).toEqual([true, false, 1])
    expect(client.metrics().streams).toEqual({ live: 1, shared: 0, viewers: 1, lingering: 0 })
  })

  it('ends at once with lingerMs 0, and leave() does not wait for that', async () => {
    const { fake, host, join, clock } = world({ engines: 1 })
    host.onClose = () => ({ delayMs: 1_000 })
    const viewer = await join({ lingerMs: 0 })
    await viewer.leave('gone')
    expect([viewer.stream.state, fake.counters.endsApplied]).toEqual(['ending', 0])
    await clock.advance(1_000)
    expect(fake.counters.endsApplied).toBe(1)
  })

  it('waits for `close` if the content is ending, and then opens it anew', async () => {
    const { client, fake, host, join, clock } = world({ engines: 3 })
    host.onClose = () => ({ delayMs: 2_000 })
    const first = await join({ lingerMs: 0 })
    await first.leave()
    const joining = join()
    await clock.advance(1_999)
    expect(host.openCount).toBe(1)
    await clock.advance(1)
    const second = await joining
    expect([second.isFirst, second.stream === first.stream, host.openCount, fake.counters.startsApplied]).toEqual([true, false, 2, 2])
    expect(client.metrics().streams.live).toBe(1)
  })

  it('counts viewers in viewer:joined and viewer:left', async () => {
    const { client, join } = world({ engines: 1 })
    const seen: unknown[] = []
    for (const name of ['viewer:joined', 'viewer:left'] as const) {
      client.on(name, ({ viewerCount, streamId }) => seen.push([name.slice(7), viewerCount, streamId === `${CONTENT.key}|session 1`]))
    }
    const viewers = [await join(), await join()]
    {
      await using viewer = viewers[0] as StreamViewer<TestPlayback>
      expect(viewer.isFirst).toBe(true)
    }
    await viewers[1]?.leave()
    expect(seen).toEqual([
      ['joined', 1, true],
      ['joined', 2, true],
      ['left', 1, true],
      ['left', 0, true],
    ])
  })

  it('serves 1,000 viewers of 20 contents on 20 engines of limit 1 with 20 sessions, 20 starts and 20 ends', async () => {
    const { fake, host, join, clock } = world({ engines: 20 })
    host.onOpen = () => ({ delayMs: 500 })
    const joining = Promise.all(Array.from({ length: 1_000 }, (_, n) => join({ key: `${n % 20}`.padStart(40, '0') })))
    await clock.advance(500)
    const viewers = await joining
    expect([host.openCount, fake.counters.startsApplied, new Set(host.tried).size]).toEqual([20, 20, 20])
    await Promise.all(viewers.map((viewer) => viewer.leave()))
    await clock.advance(10_000)
    expect([fake.counters.endsApplied, host.sessions.size, [...host.closes.values()]]).toEqual([20, 0, Array(20).fill(1)])
    expect(Math.max(...Object.values(fake.counters.peakLoad))).toBe(1)
  })
})

describe('callers of joinStream while the stream opens', () => {
  it('are not harmed when another one aborts, and the earliest one that is left is the first', async () => {
    const { host, join, clock } = world({ engines: 1 })
    host.onOpen = () => ({ delayMs: 1_000 })
    const leaver = new AbortController()
    const aborted = failureOf(join({ signal: leaver.signal }))
    const others = [join(), join()]
    await clock.advance(500)
    leaver.abort('left')
    expect(await aborted).toBe('left')
    await clock.advance(500)
    expect((await Promise.all(others)).map(({ isFirst }) => isFirst)).toEqual([true, false])
    expect([host.openCount, host.signals[0]?.aborted]).toEqual([1, false])
  })

  it('abort the opening when all have left, and who joins then waits until that is cleaned up', async () => {
    const { client, fake, host, join, clock } = world({ engines: 3 })
    host.onOpen = () => ({ delayMs: 2_000 })
    const leaver = new AbortController()
    const gone = [failureOf(join({ signal: leaver.signal })), failureOf(join({ signal: leaver.signal }))]
    await clock.advance(500)
    leaver.abort('left')
    expect(await Promise.all(gone)).toEqual(['left', 'left'])
    expect(host.signals[0]?.aborted).toBe(true)
    const back = join()
    await clock.advance(1_499)
    expect([host.openCount, client.metrics().leases.active]).toEqual([1, 1])
    await clock.advance(1)
    expect([host.openCount, host.closes]).toEqual([2, new Map([['session 1', 1]])])
    await clock.advance(2_000)
    expect([(await back).isFirst, host.openingPeak, fake.counters.startsApplied]).toEqual([true, 1, 1])
  })

  it('wait for an engine as long as the most patient one; each leaves with a CapacityError of its own when its time is up', async () => {
    const { client, join, clock, fake } = world({ engines: 1 })
    const busy = await client.openStream({ keyType: 'url', key: 'busy', open: new EnginesHost(clock).open })
    const times: [unknown, number][] = []
    const begunAt = clock.now()
    const watch = (work: Promise<unknown>): void =>
      void failureOf(work).then((error) => {
        if (!(error instanceof CapacityError)) throw error
        times.push([error.waitedMs, clock.now() - begunAt])
      })
    watch(join({ waitMs: 2_000, provision: false }))
    await clock.advance(1_000)
    watch(join({ waitMs: 0, provision: false }))
    watch(join({ waitMs: 4_000, provision: false }))
    const patient = join({ waitMs: 20_000, provision: false })
    await clock.advance(6_000)
    expect(times).toEqual([
      [0, 1_000],
      [2_000, 2_000],
      [4_000, 5_000],
    ])
    await busy.end()
    await clock.advance(1_000)
    expect((await patient).isFirst).toBe(true)
    expect(fake.counters.startsApplied).toBe(2)
  })

  it('leave when their own time is up, also while the orchestrator does not answer, and with waitMs 0 after requestTimeoutMs', async () => {
    const { client, fake, join, clock } = world({ engines: 1 }, { requestTimeoutMs: 1_500 })
    fake.inject({ kind: 'lost-request', times: Number.POSITIVE_INFINITY })
    const begunAt = clock.now()
    const left: number[] = []
    const waits = [20_000, 0, 5_000].map((waitMs) =>
      failureOf(join({ waitMs })).then((error) => {
        left.push(clock.now() - begunAt)
        return error
      }),
    )
    await clock.advance(30_000)
    const errors = await Promise.all(waits)
    expect(left).toEqual([1_500, 5_000, 20_000])
    expect(errors.slice(1)).toMatchObject([
      { code: 'CAPACITY', waitedMs: 1_500 },
      { code: 'CAPACITY', waitedMs: 5_000 },
    ])
    expect(client.metrics().leases.waiting).toBe(0)
  })

  it('keep the place in the queue of the first one', async () => {
    const { client, join, clock } = world({ engines: 1 })
    const busy = await client.acquireEngine()
    const order: string[] = []
    const impatient = failureOf(join({ waitMs: 1_000, provision: false }))
    await clock.advance(500)
    const joined = join({ waitMs: 20_000, provision: false }).then(() => order.push('joined'))
    const single = client.acquireEngine({ waitMs: 20_000, provision: false }).then(() => order.push('single'))
    await clock.advance(1_000)
    expect(await impatient).toBeInstanceOf(CapacityError)
    await busy.release()
    await clock.settle()
    expect(order).toEqual(['joined'])
    await joined
    await client.close({ timeoutMs: 0 })
    await single.catch(() => {})
  })

  it('start an engine as soon as one of them allows it', async () => {
    const { client, fake, join, clock } = world({ engines: 1, maxReplicas: 2 })
    await client.acquireEngine()
    const joining = [join({ provision: false })]
    await clock.advance(1_000)
    expect(fake.counters.enginesProvisioned).toBe(0)
    joining.push(join())
    await clock.advance(30_000)
    expect(new Set((await Promise.all(joining)).map(({ stream }) => stream)).size).toBe(1)
    expect(fake.counters.enginesProvisioned).toBe(1)
  })

  it('all get the error of the opening, and so do callers within the next second; after that it is tried again', async () => {
    const { host, join, clock } = world({ engines: 2 })
    host.onOpen = () => ({ error: new Error('HTTP 500') })
    const [first, ...others] = await Promise.all([failureOf(join()), failureOf(join()), failureOf(join())])
    expect(first).toMatchObject({ code: 'PLAYBACK_FAILED' })
    expect(others).toEqual([first, first])
    await clock.advance(999)
    expect(await failureOf(join())).toBe(first)
    expect(host.openCount).toBe(2)
    await clock.advance(1)
    expect(await failureOf(join())).not.toBe(first)
    expect(host.openCount).toBe(4)
  })

  it('who retry a content that cannot be opened in a loop open it once a second', async () => {
    const { host, join, clock } = world({ engines: 5 })
    host.onOpen = () => ({ error: new Error('dead') })
    const endAt = clock.now() + 10_000
    const loops = Array.from({ length: 50 }, async () => {
      while (clock.now() < endAt) {
        await failureOf(join({ engineAttempts: 1 }))
        await new Promise<void>((resolve) => void clock.setTimeout(resolve, 100))
      }
    })
    await clock.advance(10_100)
    await Promise.all(loops)
    expect(host.openCount).toBe(10)
  })

  it.each([0, 10_000])(
    'get the errors of the engines if there is no further one within %i ms, by a clock whose timers are late',
    async (waitMs) => {
      const built = setup({ engines: 1 })
      const { clock, fake } = built
      // As on a real machine, time passes between two readings, and timers fire late.
      let readings = 0
      const lateClock: Clock = {
        now: () => clock.now() + ++readings / 1_000,
        monotonic: () => clock.monotonic() + ++readings / 1_000,
        setTimeout: (callback, delayMs) => clock.setTimeout(callback, delayMs + 1),
      }
      const client = connect(fake, clock, { clock: lateClock })
      const host = new EnginesHost(clock)
      host.onOpen = () => ({ error: new Error('HTTP 500') })
      const join = () => client.joinStream({ ...CONTENT, open: host.open, waitMs, provision: false })
      const error = await during(clock, failureOf(join()))
      expect(error).toMatchObject({ code: 'PLAYBACK_FAILED', attempts: [{ error: { message: 'HTTP 500' } }] })
      expect(await failureOf(join())).toBe(error)
      expect(host.openCount).toBe(1)
    },
  )

  it('get an engine although an opening for less patient callers has just failed', async () => {
    const { client, join } = world({ engines: 1 })
    const lease = await client.acquireEngine()
    expect(await failureOf(join({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    expect(await failureOf(join({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    const patient = join({ provision: false })
    await lease.release()
    expect((await patient).isFirst).toBe(true)
  })

  it('are rejected when the client closes, and their playback is closed if it opens later', async () => {
    const { client, host, joinMany, clock } = world({ engines: 1 })
    host.onOpen = () => ({ delayMs: 1_000 })
    const joining = failureOf(joinMany(3))
    await clock.settle()
    const closed = client.close()
    expect(await joining).toBeInstanceOf(ClientClosedError)
    await clock.advance(1_000)
    expect(await closed).toEqual({ delivered: 0, undelivered: [] })
    expect(host.closes).toEqual(new Map([['session 1', 1]]))
  })
})

describe('a shared stream that lingers', () => {
  it('ends at once for a caller that waits, before an engine is requested', async () => {
    const { client, fake, join } = world({ engines: 1, maxReplicas: 2 })
    await (await join()).leave()
    const lease = await client.acquireEngine()
    expect([fake.counters.enginesProvisioned, client.metrics().streams.lingering]).toEqual([0, 0])
    await lease.release()
  })

  it('is the one that has lingered for the longest time, on an engine that the caller accepts; one for each caller', async () => {
    const { client, host, join, clock } = world({ engines: 3 })
    const viewers = []
    for (const key of ['1', '2', '3']) viewers.push(await join({ key: key.padStart(40, '0'), lingerMs: 60_000 }))
    for (const viewer of viewers) {
      await viewer.leave()
      await clock.advance(10)
    }
    const [first, second, third] = viewers.map(({ stream }) => stream.engine.containerId ?? '')
    const lease = await client.acquireEngine({ exclude: [first ?? ''] })
    expect([lease.engine.containerId, [...host.closes.keys()]]).toEqual([second, ['session 2']])
    const leases = await Promise.all([client.acquireEngine(), client.acquireEngine()])
    expect(leases.map(({ engine }) => engine.containerId).sort()).toEqual([first, third].sort())
  })

  it('ends at once for a caller that has waited before it began to linger', async () => {
    const { client, join, clock } = world({ engines: 1 })
    const viewer = await join()
    const waiting = client.acquireEngine({ provision: false })
    await clock.advance(100)
    const leftAt = clock.now()
    await viewer.leave()
    await waiting
    expect(clock.now()).toBe(leftAt)
  })

  it('stays for a caller with waitMs 0', async () => {
    const { client, join } = world({ engines: 1 })
    await (await join()).leave()
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    expect(client.metrics().streams.lingering).toBe(1)
  })
})

describe('a shared stream that breaks', () => {
  it('is opened once, on another engine, by 50 viewers that ask again at once', async () => {
    const { fake, host, join, joinMany, clock } = world({ engines: 2 })
    const viewers = await joinMany(50)
    const [broken] = viewers
    const cause = new Error('the engine sent nothing')
    const again = viewers.map(
      (viewer) =>
        new Promise<StreamViewer<TestPlayback>>((resolve, reject) => {
          viewer.stream.lost.addEventListener('abort', () => void viewer.leave().then(() => join().then(resolve, reject)))
        }),
    )
    void broken?.stream.fail(cause)
    expect(broken?.stream.lost.reason).toBe(cause)
    await clock.advance(1_000)
    const back = await Promise.all(again)
    expect([host.openCount, new Set(host.tried).size, new Set(back.map(({ stream }) => stream)).size]).toEqual([2, 2, 1])
    expect([fake.counters.startsApplied, fake.counters.endsApplied, host.sessions.size]).toEqual([2, 1, 1])
  })

  it('does not keep viewers waiting for its `close`, if there is another engine', async () => {
    const { host, join, clock } = world({ engines: 2 })
    host.onClose = () => ({ delayMs: Number.POSITIVE_INFINITY })
    const viewer = await join()
    void viewer.stream.fail(refused())
    const back = await join() // at once
    expect(back.stream.engine.containerId).not.toBe(viewer.stream.engine.containerId)
    // On 2026-04 the end of the broken stream would end this one too (H6): its start is sent after that end.
    expect([back.stream.state, host.openCount]).toEqual(['announcing', 2])
    await clock.advance(5_000)
    expect(back.stream.state).toBe('live')
  })

  it('aborts `lost` for all viewers when its engine is gone, and when one viewer ends it', async () => {
    const { client, fake, join, joinMany, clock } = world({ engines: 2 })
    const viewers = await joinMany(3)
    fake.removeEngine(viewers[0]?.stream.engine.containerId ?? '')
    await clock.advance(10_000)
    await client.reconcile()
    expect(viewers.map(({ stream }) => stream.lost.reason instanceof StreamLostError)).toEqual([true, true, true])
    const [first, second] = [await join(), await join()]
    const ended = first.stream.end('enough')
    expect([second.stream.lost.aborted, second.stream.lost.reason]).toMatchObject([
      true,
      { message: expect.stringContaining('for all its viewers') },
    ])
    expect((await ended).outcome).toBe('delivered')
    expect((await join()).stream).not.toBe(first.stream)
  })

  it('aborts `lost` for its viewers when it is ended by its id, and when the client closes', async () => {
    const { client, join } = world({ engines: 2 })
    const viewer = await join()
    await client.streamEnded(viewer.stream.id)
    expect(viewer.stream.lost.aborted).toBe(true)
    const other = await join()
    await client.close()
    expect(other.stream.lost.aborted).toBe(true)
  })

  it('gives all who wait for it a PlaybackError with both engines', async () => {
    const { host, joinMany } = world({ engines: 2 })
    host.onOpen = () => ({ error: refused() })
    const error = (await failureOf(joinMany(5))) as PlaybackError
    expect(error.attempts.map(({ containerId }) => containerId)).toEqual(host.tried)
  })
})
