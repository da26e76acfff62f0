import { PassThrough, Writable } from 'node:stream'
import type { CandidateComparator } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { type OpenPlayback, watch } from '../../examples/quick-start/watch.ts'
import { watchTogether } from '../../examples/quick-start/watch-together.ts'
import { failureOf, playback, type Setup, setup } from '../support/setup.ts'

const INFOHASH = 'a'.repeat(40)

/** A player that shows what it got. */
class Player extends Writable {
  seen = ''
  /** Aborts when the player is closed. */
  readonly #leaving = new AbortController()
  readonly signal = this.#leaving.signal

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.seen += String(chunk)
    done()
  }

  leave(): void {
    this.#leaving.abort()
    this.destroy()
  }
}

/** The host's own code, on engines that play what a test writes. */
class Engines {
  readonly videos: PassThrough[] = []
  readonly stopped: number[] = []
  error: Error | undefined

  readonly open: OpenPlayback = async () => {
    if (this.error !== undefined) throw this.error
    const number = this.videos.length
    const video = new PassThrough().on('error', () => {})
    this.videos.push(video)
    const stop = async (): Promise<void> => void this.stopped.push(number)
    return { session: playback(INFOHASH, `session-${number}`).session, playback: { video, stop } }
  }

  get video(): PassThrough {
    const video = this.videos.at(-1)
    if (video === undefined) throw new Error('no engine plays')
    return video
  }
}

/** The first engine of the list comes first, unless the content failed there. */
const rankEngines: CandidateComparator = (one, other) =>
  Number(one.hasContent) - Number(other.hasContent) || one.engine.containerId.localeCompare(other.engine.containerId)

function world(): Setup & { engines: Engines } {
  return { ...setup({ engines: 2 }, { rankEngines }), engines: new Engines() }
}

describe.each([
  ['watch', watch],
  ['watchTogether', watchTogether],
] as const)('the quick start %s', (_, serve) => {
  it('serves a viewer, and starts and ends one stream', async () => {
    const { client, fake, clock, engines } = world()
    const player = new Player()
    const served = serve(client, INFOHASH, engines.open, player, player.signal)
    await clock.settle()
    expect(fake.liveStreamIds()).toHaveLength(1)
    engines.video.write('some')
    engines.video.end('video')
    await served
    expect([player.seen, engines.stopped]).toEqual(['somevideo', [0]])
    await client.flush()
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 }, events: { duplicatesPrevented: 0 } })
  })

  it('ends the stream and stops the session when the viewer has left', async () => {
    const { client, fake, clock, engines } = world()
    const player = new Player()
    const failed = failureOf(serve(client, INFOHASH, engines.open, player, player.signal))
    await clock.settle()
    player.leave()
    expect(await failed).toMatchObject({ name: 'AbortError' })
    await clock.advance(5_000)
    expect([engines.stopped, fake.counters.endsApplied]).toEqual([[0], 1])
    expect(client.metrics()).toMatchObject({ streams: { live: 0 }, events: { duplicatesPrevented: 0 } })
  })

  it('counts no failure of the engine if the viewer leaves: the viewer who comes back gets the same one', async () => {
    const { client, fake, clock, engines } = world()
    const [player, again] = [new Player(), new Player()]
    const failed = failureOf(serve(client, INFOHASH, engines.open, player, player.signal))
    await clock.settle()
    player.leave()
    await failed
    await clock.advance(5_000)
    void serve(client, INFOHASH, engines.open, again, again.signal).catch(() => {})
    await clock.settle()
    const [first, second] = fake.streams
    expect([first?.status, second?.status, second?.containerId]).toEqual(['ended', 'started', first?.containerId])
  })

  it('rejects if the engine breaks off, and the viewer who comes back gets another engine', async () => {
    const { fake, clock, engines, client } = world()
    const [player, again] = [new Player(), new Player()]
    const failed = failureOf(serve(client, INFOHASH, engines.open, player, player.signal))
    await clock.settle()
    const broken = new Error('terminated')
    engines.video.destroy(broken)
    await failed
    void serve(client, INFOHASH, engines.open, again, again.signal).catch(() => {})
    await clock.settle()
    const [first, second] = fake.streams
    expect([first?.status, second?.status]).toEqual(['ended', 'started'])
    expect(second?.containerId).not.toBe(first?.containerId)
  })

  it('announces no stream and holds no slot if no engine opens a playback', async () => {
    const { client, fake, engines } = world()
    engines.error = new Error('engine hangs')
    const player = new Player()
    expect(await failureOf(serve(client, INFOHASH, engines.open, player, player.signal))).toMatchObject({ code: 'PLAYBACK_FAILED' })
    expect(client.metrics().leases.active).toBe(0)
    expect(fake.counters.startsApplied).toBe(0)
  })
})

describe('watchTogether', () => {
  it('copies one video to all viewers, from when they came, and goes on when the first one has left', async () => {
    const { client, fake, clock, engines } = world()
    const [first, second] = [new Player(), new Player()]
    const left = failureOf(watchTogether(client, INFOHASH, engines.open, first, first.signal))
    await clock.settle()
    engines.video.write('a')
    await clock.settle()
    const watched = watchTogether(client, INFOHASH, engines.open, second, second.signal)
    await clock.settle()
    engines.video.write('b')
    await clock.settle()
    first.leave()
    await left
    engines.video.end('c')
    await watched
    expect([first.seen, second.seen]).toEqual(['ab', 'bc'])
    expect([engines.videos.length, fake.counters.startsApplied]).toEqual([1, 1])
  })

  it('reads on while there is no viewer, so that the engine does not stop for the one who comes back', async () => {
    const { client, clock, engines } = world()
    const [first, again] = [new Player(), new Player()]
    const left = failureOf(watchTogether(client, INFOHASH, engines.open, first, first.signal))
    await clock.settle()
    first.leave()
    await left
    engines.video.write('x'.repeat(1_000_000))
    await clock.advance(1_000)
    void watchTogether(client, INFOHASH, engines.open, again, again.signal).catch(() => {})
    await clock.settle()
    engines.video.write('y')
    await clock.settle()
    expect([again.seen, engines.videos.length]).toEqual(['y', 1])
  })

  it('cuts off a viewer who is too slow, and the others watch on', async () => {
    const { client, clock, engines } = world()
    const [slow, quick] = [new Player(), new Player()]
    slow._write = () => {}
    const cutOff = failureOf(watchTogether(client, INFOHASH, engines.open, slow, slow.signal))
    void watchTogether(client, INFOHASH, engines.open, quick, quick.signal).catch(() => {})
    await clock.settle()
    for (let megabytes = 0; megabytes < 10; megabytes += 1) {
      engines.video.write('x'.repeat(1_000_000))
      await clock.settle()
    }
    expect(await cutOff).toMatchObject({ message: 'This viewer is too slow' })
    expect(quick.seen).toHaveLength(10_000_000)
  })

  it('tells all viewers when the engine breaks off', async () => {
    const { client, clock, engines } = world()
    const players = [new Player(), new Player(), new Player()]
    const failures = players.map((player) => failureOf(watchTogether(client, INFOHASH, engines.open, player, player.signal)))
    await clock.settle()
    const broken = new Error('terminated')
    engines.video.destroy(broken)
    expect((await Promise.all(failures)).map((failure) => (failure as Error).cause)).toEqual([broken, broken, broken])
  })
})
