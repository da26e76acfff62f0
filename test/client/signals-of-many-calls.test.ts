import { getEventListeners } from 'node:events'
import { describe, expect, it, vi } from 'vitest'
import { playback, setup } from '../support/setup.ts'

const CALLS = 200
/** Listeners that any signal may have, whatever the number of calls. */
const FEW = 3

const options = { maxStreamsPerEngine: CALLS, maxConcurrentRequests: 4, reconcileIntervalMs: 0, sweepIntervalMs: 0 } as const

/** Returns a function that returns the largest number of listeners that any event target had at once. */
function mostListeners(): () => number {
  const listening = new WeakMap<EventTarget, Set<unknown>>()
  let most = 0
  const { addEventListener, removeEventListener } = EventTarget.prototype
  vi.spyOn(EventTarget.prototype, 'addEventListener').mockImplementation(function (this: EventTarget, type, listener, settings) {
    const listeners = (listening.get(this) ?? new Set()).add(listener)
    listening.set(this, listeners)
    most = Math.max(most, listeners.size)
    addEventListener.call(this, type, listener, settings)
  })
  vi.spyOn(EventTarget.prototype, 'removeEventListener').mockImplementation(function (this: EventTarget, type, listener, settings) {
    listening.get(this)?.delete(listener)
    removeEventListener.call(this, type, listener, settings)
  })
  return () => most
}

/** A client with so many live streams on one engine. */
async function watching() {
  const world = setup({ generation: '2025-10', engines: 1 }, options)
  const [engine] = await world.client.listEngines()
  if (engine === undefined) throw new Error('no engine')
  const start = (index: number) => world.client.streamStarted({ engine, ...playback(`${index}`), streamId: `stream-${index}` })
  const streams = await Promise.all(Array.from({ length: CALLS }, (_, index) => start(index)))
  return { ...world, streams }
}

describe('a signal that hundreds of calls share has a few listeners', () => {
  it('when all streams end at once', async () => {
    const { fake, streams } = await watching()
    const most = mostListeners()
    await Promise.all(streams.map((stream) => stream.end()))
    expect(fake.liveStreamIds()).toEqual([])
    expect([most() > 0, most() <= FEW]).toEqual([true, true])
  })

  it('when a client with that many streams closes', async () => {
    const { client, fake } = await watching()
    const most = mostListeners()
    await client.close()
    expect(fake.liveStreamIds()).toEqual([])
    expect([most() > 0, most() <= FEW]).toEqual([true, true])
  })

  it('when that many ends wait for an orchestrator that fails, and when it works again', async () => {
    const { client, clock, fake, streams } = await watching()
    const most = mostListeners()
    fake.inject({ kind: 'status', status: 503, times: Number.POSITIVE_INFINITY })
    const ending = Promise.all(streams.map((stream) => stream.end()))
    await clock.advance(10_000)
    expect(client.metrics().events.pending).toBe(CALLS)
    fake.clearFaults()
    await clock.advance(600_000)
    await ending
    expect([most() > 0, most() <= FEW]).toEqual([true, true])
  })

  it('when they wait for an engine, and each call rejects with its reason when it aborts', async () => {
    const { client } = setup({ generation: '2025-10', engines: 1 }, { ...options, maxStreamsPerEngine: 1 })
    await client.acquireEngine()
    const most = mostListeners()
    const call = new AbortController()
    const acquire = () => client.acquireEngine({ signal: call.signal, provision: false, waitMs: 60_000 })
    const waiting = Promise.allSettled(Array.from({ length: CALLS }, acquire))
    await vi.waitFor(() => expect(client.metrics().leases.waiting).toBe(CALLS))
    expect(getEventListeners(call.signal, 'abort').length).toBeLessThanOrEqual(FEW)
    call.abort('the host closes')
    expect(new Set((await waiting).map((result) => result.status === 'rejected' && result.reason))).toEqual(new Set(['the host closes']))
    expect(getEventListeners(call.signal, 'abort')).toEqual([])
    expect(most()).toBeLessThanOrEqual(FEW)
  })

  it('when that many viewers wait for one stream, and each leaves with its reason when it aborts', async () => {
    const { client, clock } = setup({ generation: '2025-10', engines: 1 }, options)
    const call = new AbortController()
    const never = new Promise<never>(() => {})
    const { keyType, key } = playback()
    const join = () => client.joinStream({ keyType, key, signal: call.signal, open: () => never })
    const joining = Promise.allSettled(Array.from({ length: CALLS }, join))
    await clock.settle()
    const listeners = getEventListeners(call.signal, 'abort').length
    expect([listeners > 0, listeners <= FEW]).toEqual([true, true])
    call.abort('the host closes')
    expect(new Set((await joining).map((result) => result.status === 'rejected' && result.reason))).toEqual(new Set(['the host closes']))
    expect(getEventListeners(call.signal, 'abort')).toEqual([])
  })
})
