import { describe, expect, it } from 'vitest'
import { Broadcast, MAX_BACKLOG_BYTES } from '../../examples/proxy/broadcast.ts'
import { EngineError } from '../../examples/proxy/engine-request.ts'
import type { Playback } from '../../examples/proxy/playback.ts'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { failureOf } from '../support/setup.ts'

const FOREVER = new AbortController().signal
const OPTIONS = { signal: FOREVER, drop: () => {} }
/** Longer than any test. */
const SLOW_MS = 4 * HELD_MS
const FAILURE = new EngineError('the engine broke off the stream')
const MEBIBYTE = 1024 * 1024

/** A video whose bytes arrive when the test says so. */
class Video implements Playback {
  readonly contentType = 'video/mp2t'
  readonly first: Buffer
  /** How many chunks the proxy has asked for so far. */
  reads = 0
  isClosed = false
  readonly #arrivals: PromiseWithResolvers<IteratorResult<Buffer, undefined>>[] = []
  #sent = 0

  constructor(first = 'first') {
    this.first = Buffer.from(first)
  }

  readonly chunks = { next: () => this.#arrival(this.reads++).promise }

  close(): void {
    this.isClosed = true
  }

  /** Sends a chunk, and waits until it has been read. */
  async send(data: string | Buffer): Promise<void> {
    this.#arrival(this.#sent++).resolve({ done: false, value: Buffer.from(data) })
    await settled()
  }

  async finish(): Promise<void> {
    this.#arrival(this.#sent++).resolve({ done: true, value: undefined })
    await settled()
  }

  async fail(error: Error): Promise<void> {
    const { promise, reject } = this.#arrival(this.#sent++)
    promise.catch(() => {})
    reject(error)
    await settled()
  }

  #arrival(index: number): PromiseWithResolvers<IteratorResult<Buffer, undefined>> {
    this.#arrivals[index] ??= Promise.withResolvers()
    return this.#arrivals[index]
  }
}

/** A viewer that reads everything. */
class Reader {
  text = ''
  readonly done: Promise<void>

  constructor(broadcast: Broadcast, signal: AbortSignal = FOREVER) {
    this.done = this.#read(broadcast, signal)
    this.done.catch(() => {})
  }

  async #read(broadcast: Broadcast, signal: AbortSignal): Promise<void> {
    for await (const chunk of broadcast.watch({ signal, drop: () => {} })) this.text += chunk
  }
}

/** Lets everything run that waits for nothing from outside. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function broadcastOf(video: Video, { isLive = true } = {}): Broadcast {
  const playbackUrl = new URL('http://engine/play')
  const announced = { playbackSessionId: 'session', statUrl: 'http://engine/stat', commandUrl: 'http://engine/cmd', isLive }
  return new Broadcast(video, { announced, playbackUrl, engineHost: 'engine' }, SLOW_MS)
}

describe('the viewers of one content', () => {
  it('all get the whole video, and the engine is read once', async () => {
    const video = new Video('a')
    const broadcast = broadcastOf(video)
    const readers = Array.from({ length: 20 }, () => new Reader(broadcast))
    await video.send('b')
    await video.send('c')
    await video.finish()
    await Promise.all(readers.map(({ done }) => done))
    expect(readers.map(({ text }) => text)).toEqual(Array(20).fill('abc'))
    expect(video.reads).toBe(3)
    expect(await broadcast.finished).toBeUndefined()
  })

  it('begin with the newest data if they come late', async () => {
    const video = new Video('a')
    const broadcast = broadcastOf(video)
    const early = new Reader(broadcast)
    await video.send('b')
    await video.send('c')
    const late = new Reader(broadcast)
    await video.send('d')
    expect([early.text, late.text]).toEqual(['abcd', 'cd'])
  })

  it('get further bytes while another viewer reads nothing, whose backlog is bounded', async () => {
    const video = new Video()
    const broadcast = broadcastOf(video)
    const stopped = broadcast.watch(OPTIONS)
    await stopped.next()
    const reader = new Reader(broadcast)
    for (let count = 0; count < 40; count++) {
      await video.send(Buffer.alloc(MEBIBYTE, `${count % 10}`))
      expect(broadcast.backlogBytes).toBeLessThanOrEqual(MAX_BACKLOG_BYTES)
    }
    expect(reader.text).toHaveLength('first'.length + 40 * MEBIBYTE)
    expect(MAX_BACKLOG_BYTES).toBe(8 * MEBIBYTE)
  })

  it('continue with the newest data if they have fallen too far behind, and with the next data otherwise', async () => {
    const video = new Video()
    const broadcast = broadcastOf(video)
    const slow = broadcast.watch(OPTIONS)
    const slower = broadcast.watch(OPTIONS)
    await slow.next()
    await slower.next()
    new Reader(broadcast)
    await video.send('next')
    expect(String((await slow.next()).value)).toBe('next')
    await video.send(Buffer.alloc(MAX_BACKLOG_BYTES))
    await video.send('newest')
    // One of them is 8 MiB and 6 bytes behind, and skips. The other one is 8 MiB and 10 bytes behind.
    expect(String((await slow.next()).value)).toBe('newest')
    expect(String((await slower.next()).value)).toBe('newest')
    await video.send('last')
    expect(String((await slow.next()).value)).toBe('last')
  })

  it('slow the engine down if all of them are slow', async () => {
    const video = new Video()
    const broadcast = broadcastOf(video)
    const viewers = [broadcast.watch(OPTIONS), broadcast.watch(OPTIONS)]
    for (const viewer of viewers) await viewer.next()
    await settled()
    expect(video.reads).toBe(0)
    const next = viewers[0]?.next()
    await video.send('next')
    expect(String((await next)?.value)).toBe('next')
    await settled()
    expect(video.reads).toBe(1)
  })

  it('end their wait for data at once when they leave', async () => {
    const leaving = new AbortController()
    const { done } = new Reader(broadcastOf(new Video()), leaving.signal)
    await settled()
    leaving.abort(new Error('gone'))
    expect(await failureOf(done)).toMatchObject({ message: 'gone' })
  })

  it('all get the failure of the engine, and the connection is closed', async () => {
    const video = new Video()
    const broadcast = broadcastOf(video)
    const stopped = broadcast.watch(OPTIONS)
    await stopped.next()
    const reader = new Reader(broadcast)
    await video.send(Buffer.alloc(MEBIBYTE))
    await video.fail(FAILURE)
    expect([await failureOf(reader.done), await failureOf(stopped.next()), await broadcast.finished]).toEqual([FAILURE, FAILURE, FAILURE])
    expect(video.isClosed).toBe(true)
  })

  it('get the rest of a video that has ended, even if they are slow and the stream is closed meanwhile', async () => {
    const video = new Video('a')
    const broadcast = broadcastOf(video)
    const slow = broadcast.watch(OPTIONS)
    await slow.next()
    const reader = new Reader(broadcast)
    await video.send('b')
    await video.finish()
    await reader.done
    broadcast.close(FAILURE)
    expect(String((await slow.next()).value)).toBe('b')
    expect(await slow.next()).toMatchObject({ done: true })
  })
})

describe('a video that is closed', () => {
  it('gives its viewers the reason, and is read no further', async () => {
    const video = new Video()
    const broadcast = broadcastOf(video)
    const stopped = broadcast.watch(OPTIONS)
    await stopped.next()
    const reader = new Reader(broadcast)
    await video.send(Buffer.alloc(MEBIBYTE))
    broadcast.close(FAILURE)
    await video.send('late')
    expect(broadcast.backlogBytes).toBe(0)
    expect([await failureOf(reader.done), await failureOf(stopped.next())]).toEqual([FAILURE, FAILURE])
    expect(video).toMatchObject({ isClosed: true, reads: 2 })
    // It neither ended nor failed by itself.
    expect(await Promise.race([broadcast.finished, settled().then(() => 'pending')])).toBe('pending')
  })
})

describe('a video that nobody watches any more', () => {
  it('is read and thrown away, so that the next viewer begins with new data', async () => {
    const video = new Video()
    const broadcast = broadcastOf(video)
    const viewer = broadcast.watch(OPTIONS)
    await viewer.next()
    await viewer.return()
    await video.send('unseen')
    await video.send('newest')
    expect(video.reads).toBe(3)
    expect(String((await broadcast.watch(OPTIONS).next()).value)).toBe('newest')
  })

  it('waits for the next viewer if it is a recording', async () => {
    const video = new Video()
    const broadcast = broadcastOf(video, { isLive: false })
    const viewer = broadcast.watch(OPTIONS)
    await viewer.next()
    await viewer.return()
    await settled()
    expect(video.reads).toBe(0)
  })

  it('detects that the engine has failed', async () => {
    const video = new Video()
    const broadcast = broadcastOf(video)
    const viewer = broadcast.watch(OPTIONS)
    await viewer.next()
    await viewer.return()
    await video.fail(FAILURE)
    expect(await broadcast.finished).toBe(FAILURE)
  })

  it('keeps its first bytes for its first viewer', async () => {
    const video = new Video('first')
    const broadcast = broadcastOf(video)
    await settled()
    expect(video.reads).toBe(0)
    expect(String((await broadcast.watch(OPTIONS).next()).value)).toBe('first')
  })
})

describe('a viewer who reads more slowly than the video arrives', () => {
  /** One viewer who reads all, and one whom the test reads for. Each `pass()` is a quarter of `slowViewerTimeoutMs`. */
  async function viewers() {
    const timers = holdTimers()
    const video = new Video()
    const broadcast = broadcastOf(video)
    const dropped: string[] = []
    const reader = new Reader(broadcast)
    const slow = broadcast.watch({ signal: FOREVER, drop: () => dropped.push('slow') })
    await slow.next()
    const pass = async (quarters = 1): Promise<void> => {
      for (let count = 0; count < quarters; count++) {
        await video.send('x')
        timers.fire()
      }
    }
    return { video, broadcast, dropped, reader, slow, pass, timers }
  }

  it('is dropped after the time limit if it reads nothing', async () => {
    const { dropped, pass, reader } = await viewers()
    await pass(4)
    expect(dropped).toEqual([])
    await pass()
    expect(dropped).toEqual(['slow'])
    expect(reader.text).toBe('firstxxxxx')
  })

  it('stays if it reads all data once within each time limit', async () => {
    const { dropped, pass, slow } = await viewers()
    for (let round = 0; round < 5; round++) {
      void slow.next() // there is no more data, so it waits
      await pass(4)
      for (let chunk = 0; chunk < 3; chunk++) await slow.next()
    }
    expect(dropped).toEqual([])
  })

  it('stays if it waits for data, because the engine sends nothing', async () => {
    const { dropped, timers, slow } = await viewers()
    void slow.next()
    for (let quarter = 0; quarter < 10; quarter++) timers.fire()
    expect(dropped).toEqual([])
  })

  it('is dropped if it keeps up only because it skips data', async () => {
    const { video, dropped, pass, slow } = await viewers()
    for (let quarter = 0; quarter < 5; quarter++) {
      await video.send(Buffer.alloc(MAX_BACKLOG_BYTES + 1))
      await slow.next()
      void slow.next() // there is no more data, so it waits
      await pass()
    }
    expect(dropped).toEqual(['slow'])
  })

  it('stays if it skips data once, and then reads the next 8 MiB in time', async () => {
    const { video, dropped, pass, slow } = await viewers()
    await video.send(Buffer.alloc(MAX_BACKLOG_BYTES + 1))
    await slow.next()
    await pass(3)
    for (let count = 0; count < 3; count++) await slow.next()
    void slow.next()
    await video.send(Buffer.alloc(MAX_BACKLOG_BYTES))
    void slow.next()
    await settled()
    await pass(4)
    expect(dropped).toEqual([])
  })

  it('leaves no timer behind when the last viewer leaves', async () => {
    const timers = holdTimers()
    const broadcast = broadcastOf(new Video())
    const dropped: string[] = []
    const viewer = broadcast.watch({ signal: FOREVER, drop: () => dropped.push('slow') })
    await viewer.next()
    await viewer.return()
    const { armed } = timers
    timers.fire()
    expect([armed, timers.armed, dropped]).toEqual([1, 1, []])
  })
})
