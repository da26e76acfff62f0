import { CapacityError, ContentError, PlaybackError, RequestTimeoutError, ResponseError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { sessionOf } from '../support/engines-host.ts'
import { CONTENT, world } from '../support/playback-world.ts'
import { RecordingLogger } from '../support/recording-logger.ts'
import { failureOf } from '../support/setup.ts'

const refused = (): Error => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })

describe('openStream', () => {
  it('opens the playback on an engine, announces it, and hands out what `open` returned', async () => {
    const { client, fake, host, open } = world({ engines: 1 })
    const stream = await open()
    expect(stream.playback).toEqual({ session: 'session 1', containerId: stream.engine.containerId })
    expect([stream.id, stream.state]).toEqual([`${CONTENT.key}|session 1`, 'live'])
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 0 })
    expect(client.metrics().leases.active).toBe(0)
    expect(await stream.end('finished')).toEqual({ outcome: 'delivered', attempts: 1 })
    expect([host.sessions.size, host.closes]).toEqual([0, new Map([['session 1', 1]])])
    expect(fake.counters.endsApplied).toBe(1)
  })

  it('tries another engine when one cannot be reached, and blames the first one', async () => {
    const { client, host, open } = world({ engines: 3 })
    const ejected: unknown[] = []
    client.on('engine:ejected', ({ containerId }) => ejected.push(containerId))
    const bad = (await client.listEngines())[0]?.containerId
    host.onOpen = ({ containerId }) => (containerId === bad ? { error: refused() } : {})
    const streams = []
    for (let n = 0; n < 20; n += 1) {
      const stream = await open({ key: `${n}` })
      expect(stream.engine.containerId).not.toBe(bad)
      streams.push(await stream.end())
    }
    expect(ejected).toEqual([bad])
    expect(host.tried.filter((id) => id === bad)).toHaveLength(3)
  })

  it('rejects with a PlaybackError that has the error of each engine, after engineAttempts', async () => {
    const { client, host, open } = world({ engines: 3 })
    host.onOpen = () => ({ error: new Error('HTTP 500') })
    const error = (await failureOf(open())) as PlaybackError
    expect(error).toBeInstanceOf(PlaybackError)
    expect(error).toMatchObject({ code: 'PLAYBACK_FAILED', retryable: true, retryAfterMs: 5_000 })
    expect(error.attempts.map(({ containerId }) => containerId)).toEqual(host.tried)
    expect(new Set(host.tried).size).toBe(2)
    expect(error.message).toContain(`infohash ${CONTENT.key}`)
    expect(error.message.match(/HTTP 500/g)).toHaveLength(2)
    expect(client.metrics().leases.active).toBe(0)
    expect(await failureOf(open({ engineAttempts: 1 }))).toMatchObject({ attempts: [{}] })
  })

  it.each<[what: string, error: unknown, said: string]>([
    [
      'the cause of an error of fetch',
      new TypeError('fetch failed', { cause: new Error('HTTP parse error') }),
      'fetch failed: HTTP parse error',
    ],
    ['the code of a cause without a message', new TypeError('fetch failed', { cause: { code: 'EPROTO' } }), 'fetch failed: EPROTO'],
    ['a text', 'no session', 'no session'],
    ['null', null, 'no message'],
    ['an object', { status: 500 }, 'no message'],
  ])('names in the message of a PlaybackError each engine with its address, and %s', async (_, error, said) => {
    const { host, open } = world({ engines: [{ containerId: 'one', host: 'engine-1', port: 6878 }] })
    host.onOpen = () => ({ error })
    expect(await failureOf(open({ engineAttempts: 1 }))).toMatchObject({
      message: `No engine could play infohash ${CONTENT.key}: engine one at engine-1:6878: ${said}`,
    })
  })

  it('says in a PlaybackError what to do if no engine can be reached', async () => {
    const { host, open } = world({ engines: 2 })
    host.onOpen = () => ({ error: refused() })
    const advice =
      'They cannot be reached from here: check their addresses with npx acestream-orchestrator-client doctor, and see the option mapEngine'
    expect(await failureOf(open())).toMatchObject({ message: expect.stringContaining(`. ${advice}`) })
    let attempt = 0
    host.onOpen = () => ({ error: attempt++ === 0 ? refused() : new Error('HTTP 500') })
    expect(await failureOf(open())).toMatchObject({ message: expect.not.stringContaining(advice) })
  })

  it.each<[what: string, returned: unknown, said: string]>([
    ['nothing', undefined, 'nothing'],
    ['a text', 'video', 'a string'],
    ['only a session', { session: {} }, 'an object without playback'],
  ])('says what `open` returned if it was %s', async (_, returned, said) => {
    const { client } = world({ engines: 1 })
    const opening = client.openStream({ ...CONTENT, open: () => returned as never })
    expect(await failureOf(opening)).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: `open: expected a function that returns an object with session and playback; it returned ${said}`,
    })
  })

  it('rejects with a PlaybackError if no other engine is free in time; waitMs bounds the waiting of all attempts together', async () => {
    const { host, open, clock } = world({ engines: 2, maxReplicas: 2 })
    await open({ key: 'other' })
    host.onOpen = () => ({ delayMs: 3_000, error: refused() })
    const begunAt = clock.now()
    const opening = failureOf(open({ waitMs: 10_000, provision: false }))
    await clock.advance(13_000)
    const error = await opening
    expect(error).toMatchObject({ code: 'PLAYBACK_FAILED', attempts: [{ error: { code: 'ECONNREFUSED' } }] })
    expect(error).toMatchObject({ message: expect.stringContaining('no further engine: ') })
    expect(clock.now() - begunAt).toBe(13_000)
  })

  it('rejects as acquireEngine does if there is no engine for the first attempt', async () => {
    const { open, host } = world({ engines: 1 })
    await open()
    expect(await failureOf(open({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    expect(host.openCount).toBe(1)
  })

  it('rejects at once with a ContentError of `open`, tries no other engine and blames none', async () => {
    const { client, host, open } = world({ engines: 1 })
    const dead = new ContentError('no such content')
    host.onOpen = () => ({ error: dead })
    const ejected: unknown[] = []
    client.on('engine:ejected', (event) => ejected.push(event))
    for (let n = 0; n < 5; n += 1) expect(await failureOf(open({ key: `${n}` }))).toBe(dead)
    expect([host.openCount, ejected, client.metrics().leases.active]).toEqual([5, [], 0])
  })

  it('gives up an engine after openTimeoutMs, and closes its playback once if it opens later', async () => {
    const { client, host, open, clock } = world({ engines: 2 })
    host.onOpen = (_engine, attempt) => ({ delayMs: attempt === 1 ? 22_000 : 0 })
    const opening = open()
    await clock.advance(20_000)
    const stream = await opening
    expect(host.signals[0]?.reason).toBeInstanceOf(RequestTimeoutError)
    expect(host.signals[0]?.reason).toMatchObject({ timeoutMs: 20_000, message: expect.stringContaining('(openTimeoutMs)') })
    expect([host.tried.length, stream.playback.session]).toEqual([2, 'session 2'])
    expect(client.metrics().leases.active).toBe(1)
    await clock.advance(2_000)
    expect(host.closes).toEqual(new Map([['session 1', 1]]))
    expect(client.metrics().leases.active).toBe(0)
  })

  it('releases the slot of an engine that still opens a playback after playbackCloseTimeoutMs, and closes it even then', async () => {
    const { client, host, open, clock } = world({ engines: 2 })
    host.onOpen = (_engine, attempt) => ({ delayMs: attempt === 1 ? 60_000 : 0 })
    const opening = open({ openTimeoutMs: 10_000, playbackCloseTimeoutMs: 3_000 })
    await clock.advance(12_999)
    expect(client.metrics().leases.active).toBe(1)
    await clock.advance(1)
    expect(client.metrics().leases.active).toBe(0)
    await clock.advance(60_000)
    expect(host.closes).toEqual(new Map([['session 1', 1]]))
    await (await opening).end()
  })

  it('keeps its slot while `open` takes longer than leaseTtlMs', async () => {
    const { client, host, open, clock } = world({ engines: 1 }, { leaseTtlMs: 1_000 })
    host.onOpen = () => ({ delayMs: 15_000 })
    const opening = open()
    await clock.advance(14_999)
    expect(await failureOf(client.acquireEngine({ waitMs: 0 }))).toBeInstanceOf(CapacityError)
    await clock.advance(1)
    expect((await opening).state).toBe('live')
    expect(client.metrics().leases.expired).toBe(0)
  })

  it('leaves nothing behind if the viewer aborts while `open` runs, and rejects at once', async () => {
    const { client, fake, host, open, clock } = world({ engines: 1 })
    host.onOpen = () => ({ delayMs: 2_000 })
    const viewer = new AbortController()
    const opening = failureOf(open({ signal: viewer.signal }))
    await clock.settle()
    viewer.abort('left')
    expect(await opening).toBe('left')
    expect(host.signals[0]?.aborted).toBe(true)
    expect(client.metrics().leases.active).toBe(1)
    const flushed = client.flush()
    await clock.advance(2_000)
    await flushed
    expect(host.closes).toEqual(new Map([['session 1', 1]]))
    expect([client.metrics().leases.active, client.metrics().streams.live, fake.counters.startsApplied]).toEqual([0, 0, 0])
  })

  it('does nothing more for the signal of a viewer once it has resolved', async () => {
    const { host, open } = world({ engines: 1 })
    const viewer = new AbortController()
    const stream = await open({ signal: viewer.signal })
    viewer.abort()
    expect([stream.state, stream.lost.aborted, host.sessions.size]).toEqual(['live', false, 1])
  })

  it('closes the playback before it rejects, if the orchestrator refuses the start', async () => {
    const { client, fake, host, open, clock } = world({ engines: 1 })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    host.onClose = () => ({ delayMs: 1_000 })
    let error: unknown
    const opening = failureOf(open()).then((reason) => {
      error = reason
    })
    await clock.advance(999)
    expect([error, client.metrics().streams.live]).toEqual([undefined, 1])
    await clock.advance(1)
    await opening
    expect(error).toBeInstanceOf(ResponseError)
    expect([host.sessions.size, client.metrics().streams.live, client.metrics().leases.active]).toEqual([0, 0, 0])
  })

  it('rejects with the field that is wrong if `open` returns a wrong session, and closes that playback', async () => {
    const { client, host } = world({ engines: 1 })
    const closed: unknown[] = []
    const open = async () => ({ session: { ...sessionOf('x'), statUrl: '' }, playback: 'p' })
    const error = await failureOf(client.openStream({ ...CONTENT, open, close: (playback) => closed.push(playback) }))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', argument: 'session.statUrl' })
    expect([closed, client.metrics().leases.active, host.openCount]).toEqual([['p'], 0, 0])
  })

  it.each([
    'open',
    'close',
    'keyType',
    'key',
    'engineAttempts',
    'openTimeoutMs',
    'playbackCloseTimeoutMs',
    'streamId',
    'labels',
    'waitMs',
    'signal',
  ])('rejects a wrong %s with an error that names it, before anything is sent', async (name) => {
    const { fake, open } = world({ engines: 1 })
    expect(await failureOf(open({ [name]: -1 }))).toMatchObject({ code: 'INVALID_ARGUMENT', argument: name })
    expect(fake.counters.requests.total).toBe(0)
  })
})

describe('the end of a stream of openStream', () => {
  it('calls `close` once, and only then frees the slot and sends the end', async () => {
    const { client, fake, host, open, clock } = world({ engines: 1 })
    host.onClose = () => ({ delayMs: 2_000 })
    const stream = await open()
    const ends = Promise.all([stream.end(), stream.end()])
    expect(stream.state).toBe('ending')
    const next = client.acquireEngine({ provision: false })
    let isServed = false
    void next.then(() => {
      isServed = true
    })
    await clock.advance(1_999)
    expect([isServed, fake.counters.endsApplied, host.closes.get('session 1')]).toEqual([false, 0, 1])
    await clock.advance(1)
    await next
    expect((await ends).map(({ outcome }) => outcome)).toEqual(['delivered', 'duplicate'])
    expect([fake.counters.endsApplied, host.sessions.size, stream.state]).toEqual([1, 0, 'ended'])
  })

  it('waits for `close` at most playbackCloseTimeoutMs', async () => {
    const { client, fake, host, open, clock } = world({ engines: 1 })
    host.onClose = () => ({ delayMs: Number.POSITIVE_INFINITY })
    const stream = await open({ playbackCloseTimeoutMs: 1_500 })
    const ended = stream.end()
    await clock.advance(1_499)
    expect(client.metrics().streams.live).toBe(1)
    await clock.advance(1)
    expect([(await ended).outcome, fake.counters.endsApplied, client.metrics().streams.live]).toEqual(['delivered', 1, 0])
  })

  it('goes on if `close` throws, and logs that', async () => {
    const logger = new RecordingLogger()
    const { host, open } = world({ engines: 2 }, { logger })
    host.onClose = () => ({ error: new Error('the engine is gone') })
    for (const key of ['x', 'y']) expect((await (await open({ key })).end()).outcome).toBe('delivered')
    const message = "The host's close() of a playback failed; its slot is released, and its engine may still play"
    expect(logger.logged).toEqual([`warn | ${message}`])
    expect(logger.all.find((line) => line.message === message)?.fields).toMatchObject({ key: 'x', containerId: expect.any(String) })
  })

  it('is included in flush() and in close()', async () => {
    const { client, fake, host, open, clock } = world({ engines: 2 })
    host.onClose = () => ({ delayMs: 1_000 })
    const [first] = [await open({ key: 'x' }), await open({ key: 'y' })]
    void first?.end()
    const flushed = client.flush()
    await clock.advance(1_000)
    await flushed
    expect(fake.counters.endsApplied).toBe(1)
    const closed = client.close()
    await clock.advance(1_000)
    expect(await closed).toEqual({ delivered: 1, undelivered: [] })
    expect([fake.counters.endsApplied, host.sessions.size]).toEqual([2, 0])
  })

  it('is reported as undelivered if `close` takes longer than the timeoutMs of close()', async () => {
    const { client, host, open, clock } = world({ engines: 1 })
    host.onClose = () => ({ delayMs: 4_000 })
    const stream = await open()
    const closed = client.close({ timeoutMs: 1_000 })
    await clock.advance(1_000)
    expect(await closed).toEqual({ delivered: 0, undelivered: [{ streamId: stream.id, event: 'ended' }] })
  })

  it('aborts `lost` before it calls `close`, if the engine is gone', async () => {
    const { client, fake, host, open, clock } = world({ engines: 2 })
    const stream = await open()
    const order: string[] = []
    stream.lost.addEventListener('abort', () => order.push('lost'))
    host.onClose = () => {
      order.push('close')
      return {}
    }
    fake.removeEngine(stream.engine.containerId ?? '')
    await clock.advance(10_000)
    await client.reconcile()
    expect(order).toEqual(['lost', 'close'])
    expect([stream.state, client.metrics().streams.live]).toEqual(['lost', 0])
  })

  it('with fail() blames the engine, aborts `lost` with the cause, and ends the stream', async () => {
    const { client, fake, host, open } = world({ engines: 1 })
    const stream = await open()
    const cause = new Error('the engine sent nothing')
    const ended = stream.fail(cause)
    expect([stream.lost.aborted, stream.lost.reason]).toEqual([true, cause])
    expect((await ended).outcome).toBe('delivered')
    expect([host.sessions.size, fake.counters.endsApplied]).toEqual([0, 1])
    expect(await stream.fail(new Error('again'))).toEqual(await ended)
    expect(client.metrics().events.duplicatesPrevented).toBe(0)
    expect(stream.lost.reason).toBe(cause)
  })
})

describe('openStream on the fallback engine', () => {
  const fallbackEngine = { host: 'fallback', port: 6_878 }

  it('is one attempt, which is never repeated', async () => {
    const { fake, host, open, clock } = world({ engines: 1 }, { fallbackEngine })
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    host.onOpen = () => ({ error: refused() })
    const opening = failureOf(open())
    await clock.advance(30_000)
    expect(await opening).toMatchObject({ code: 'PLAYBACK_FAILED', attempts: [{ containerId: '' }] })
    expect(host.openCount).toBe(1)
  })

  it('closes its playback at the end, and when the client closes', async () => {
    const { client, fake, host, open, clock } = world({ engines: 1 }, { fallbackEngine })
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    const opening = Promise.all([open({ key: 'x' }), open({ key: 'y' })])
    await clock.advance(30_000)
    const [first, second] = await opening
    expect(await first.end()).toEqual({ outcome: 'not-announced', attempts: 0 })
    expect(host.closes).toEqual(new Map([[first.playback.session, 1]]))
    await client.close()
    expect(host.closes.get(second.playback.session)).toBe(1)
    expect(host.sessions.size).toBe(0)
  })

  it('is ended by streamEnded(), which closes its playback and sends nothing', async () => {
    const { client, fake, host, open, clock } = world({ engines: 1 }, { fallbackEngine })
    fake.inject({ kind: 'refused', times: Number.POSITIVE_INFINITY })
    const opening = open()
    await clock.advance(30_000)
    const stream = await opening
    expect(await client.streamEnded(stream.id)).toEqual({ outcome: 'not-announced', attempts: 0 })
    expect([stream.state, host.closes.get(stream.playback.session)]).toEqual(['ended', 1])
  })
})
