import { ClientClosedError, ConnectionError, type OpenStreamOptions } from 'acestream-orchestrator-client'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { pushChunk } from '../../src/engines/pushes/watch.ts'
import { wireChunk } from '../../src/orchestrator/link.ts'
import { playbackChunk } from '../../src/playback/on-demand.ts'
import type { Chunk } from '../../src/runtime/chunk.ts'
import { waitOneTurn } from '../../src/runtime/clock.ts'
import { streamRequests } from '../support/push-transport.ts'
import { failureOf, playback, setup } from '../support/setup.ts'

afterEach(() => vi.restoreAllMocks())

/** Makes the load of a part of the package last until `arrive` or `fail` is called. */
function holdLoad(chunk: Chunk<object>, code: object) {
  const { promise, resolve, reject } = Promise.withResolvers<object>()
  const loading = vi.spyOn(chunk, 'load').mockReturnValue(promise)
  const present = vi.spyOn(chunk, 'code', 'get').mockReturnValue(undefined)
  return {
    arrive: () => {
      present.mockReturnValue(code)
      resolve(code)
    },
    fail: (error: unknown) => {
      loading.mockRestore()
      present.mockRestore()
      reject(error)
    },
  }
}

/** Runs pending promise chains. `clock.settle()` would wait for the load. */
async function runPending(): Promise<void> {
  for (let turns = 0; turns < 5; turns += 1) await waitOneTurn()
}

const { session, ...content } = playback()

function opening(): OpenStreamOptions<string> {
  return { ...content, open: () => ({ session, playback: 'video' }), close: () => {} }
}

const unreadable = () => new ConnectionError('The part cannot be loaded', { maybeProcessed: false })

describe('while the code of openStream() is loaded', () => {
  it('a caller of acquireEngine() that comes later is served later', async () => {
    const { client, clock, fake } = setup({ engines: 1 }, { maxStreamsPerEngine: 1 })
    await client.listEngines()
    const load = holdLoad(playbackChunk, await import('../../src/playback/playbacks.ts'))
    const stream = client.openStream(opening())
    const later = failureOf(client.acquireEngine({ waitMs: 1_000, provision: false }))
    load.arrive()
    await clock.advance(2_000)
    expect((await stream).state).toBe('live')
    expect(await later).toMatchObject({ code: 'CAPACITY' })
    expect(fake.liveStreamIds()).toHaveLength(1)
  })

  it('a call that is aborted rejects at once with the reason of its signal, and opens nothing', async () => {
    const { client, clock, fake } = setup({ engines: 1 })
    await client.listEngines()
    const load = holdLoad(playbackChunk, await import('../../src/playback/playbacks.ts'))
    const open = vi.fn(opening().open)
    const call = new AbortController()
    const { signal } = call
    const calls = [
      client.openStream({ ...opening(), open, signal }),
      client.joinStream({ ...opening(), open, signal }),
      client.acquireEngine({ signal }),
    ].map((failing) => failureOf(failing))
    const leased = client.acquireEngine()
    call.abort('the viewer left')
    expect(await Promise.all(calls)).toEqual(['the viewer left', 'the viewer left', 'the viewer left'])
    load.arrive()
    await (await leased).release()
    await clock.settle()
    expect([open.mock.calls.length, fake.liveStreamIds(), client.metrics().leases.active]).toEqual([0, [], 0])
  })

  it('close() does not wait for it, and the call rejects with a ClientClosedError and opens nothing', async () => {
    const { client } = setup({ engines: 1 })
    await client.listEngines()
    const load = holdLoad(playbackChunk, await import('../../src/playback/playbacks.ts'))
    const open = vi.fn(opening().open)
    const calls = [failureOf(client.openStream({ ...opening(), open })), failureOf(client.joinStream({ ...opening(), open }))]
    expect(await client.close()).toEqual({ delivered: 0, undelivered: [] })
    load.arrive()
    for (const error of await Promise.all(calls)) expect(error).toBeInstanceOf(ClientClosedError)
    expect(open).not.toHaveBeenCalled()
  })
})

describe('if a part of the package cannot be loaded', () => {
  it('openStream() and joinStream() reject with the error, callers behind them are served, and the next call works', async () => {
    const { client } = setup({ engines: 1 }, { maxStreamsPerEngine: 2 })
    await client.listEngines()
    const load = holdLoad(playbackChunk, await import('../../src/playback/playbacks.ts'))
    const calls = [failureOf(client.openStream(opening())), failureOf(client.joinStream(opening()))]
    const lease = client.acquireEngine()
    const error = unreadable()
    load.fail(error)
    expect([await Promise.all(calls), (await lease).isFallback]).toEqual([[error, error], false])
    await using stream = await client.openStream(opening())
    expect(stream.playback).toBe('video')
  })

  it('a request fails like one that was never sent, and the next call sends it', async () => {
    const { client, fake } = setup({ engines: 1 }, { retry: { attempts: 1 } })
    const load = holdLoad(wireChunk, await import('../../src/orchestrator/wire.ts'))
    const listing = failureOf(client.listStreams())
    const error = unreadable()
    load.fail(error)
    expect([await listing, fake.counters.requests.total]).toEqual([error, 0])
    expect(await client.listStreams()).toEqual([])
  })

  it('the list is requested instead of pushed, until the next refresh loads the part', async () => {
    const { client, clock, fake } = setup({ generation: 'v1', engines: 1 }, { cacheTtlMs: 2_000 })
    const load = holdLoad(pushChunk, await import('../../src/engines/pushes/push-connection.ts'))
    await (await client.acquireEngine()).release()
    load.fail(unreadable())
    await clock.settle()
    expect(streamRequests(fake)).toBe(0)
    await clock.advance(3_000)
    await (await client.acquireEngine()).release()
    await clock.settle()
    expect(streamRequests(fake)).toBe(1)
  })
})

it('a client that closes while the code for pushes is loaded opens no event stream', async () => {
  const { client, fake } = setup({ generation: 'v1', engines: 1 })
  const load = holdLoad(pushChunk, await import('../../src/engines/pushes/push-connection.ts'))
  await (await client.acquireEngine()).release()
  await client.close()
  load.arrive()
  await runPending()
  expect(streamRequests(fake)).toBe(0)
})
