import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import { callbackCount } from '../../src/runtime/abort.ts'
import { during, playback, setup } from '../support/setup.ts'

const CALLS = 10_000

/** A signal that counts its listeners. */
function countedSignal(): { signal: AbortSignal; count: () => number } {
  const { signal } = new AbortController()
  const listening = new Set<unknown>()
  const { addEventListener, removeEventListener } = signal
  signal.addEventListener = (...[type, listener, options]: Parameters<typeof addEventListener>) => {
    listening.add(listener)
    addEventListener.call(signal, type, listener, options)
  }
  signal.removeEventListener = (...[type, listener, options]: Parameters<typeof removeEventListener>) => {
    listening.delete(listener)
    removeEventListener.call(signal, type, listener, options)
  }
  return { signal, count: () => listening.size }
}

describe.each(GENERATIONS)('a signal that outlives 10,000 calls, with %s', (generation) => {
  it('[I7] has no listener left, after calls that succeeded and calls that failed', async () => {
    const { client, fake } = setup({ generation, engines: 2 }, { maxStreamsPerEngine: 4, retry: { attempts: 1 }, circuitBreaker: false })
    const { signal, count } = countedSignal()
    let most = 0
    for (let call = 0; call < CALLS; call += 10) {
      if (call % 100 === 50) fake.inject({ kind: 'status', status: 404, times: 3 })
      const lease = await client.acquireEngine({ signal, waitMs: 0 }).catch(() => undefined)
      const starting = lease?.startStream(playback('a'.repeat(40), `s${call}`), { signal }).catch(() => undefined)
      most = Math.max(most, count())
      const stream = await starting
      await Promise.allSettled([
        client.listEngines({ signal, fresh: true }),
        client.listStreams({}, { signal }),
        client.checkHealth({ signal }),
        client.reconcile({ signal }),
        client.flush({ signal }),
        client.acquireEngine({ signal, waitMs: 0 }).then((other) => other.release()),
      ])
      await stream?.end()
      await lease?.release()
    }
    expect(most).toBeGreaterThan(0)
    expect(count()).toBe(0)
  })
})

/** Counts the listeners of all event targets, because the client's own signal is private. Callbacks that share a listener count too. */
function countListeners(): { targets: () => EventTarget[]; countOf: (target: EventTarget) => number } {
  const listening = new Map<EventTarget, Set<unknown>>()
  const { addEventListener, removeEventListener } = EventTarget.prototype
  vi.spyOn(EventTarget.prototype, 'addEventListener').mockImplementation(function (this: EventTarget, type, listener, options) {
    listening.set(this, (listening.get(this) ?? new Set()).add(listener))
    addEventListener.call(this, type, listener, options)
  })
  vi.spyOn(EventTarget.prototype, 'removeEventListener').mockImplementation(function (this: EventTarget, type, listener, options) {
    listening.get(this)?.delete(listener)
    removeEventListener.call(this, type, listener, options)
  })
  const sharing = (target: EventTarget): number => (target instanceof AbortSignal ? callbackCount(target) : 0)
  return { targets: () => [...listening.keys()], countOf: (target) => (listening.get(target)?.size ?? 0) + sharing(target) }
}

describe.each(GENERATIONS)('the signal with which a client aborts its background work, with %s', (generation) => {
  it('[I7] has no more listeners after a hundred viewers and engines than after fifty', async () => {
    const { targets, countOf } = countListeners()
    const { client, clock, fake } = setup({ generation, engines: 1, maxReplicas: 200 }, { provisionTimeoutMs: 2_000 })
    const play = async (index: number): Promise<void> => {
      if (index % 5 === 0) fake.inject({ kind: 'lost-answer', times: 1 })
      await during(
        clock,
        client.provisionEngine().catch(() => undefined),
      )
      const lease = await during(clock, client.acquireEngine())
      const stream = await during(clock, lease.startStream(playback('a'.repeat(40), `s${index}`)))
      await during(clock, stream.end())
      await clock.advance(5_000)
    }
    for (let index = 0; index < 50; index += 1) await play(index)
    const before = targets().map((signal) => ({ signal, count: countOf(signal) }))
    for (let index = 50; index < 100; index += 1) await play(index)
    expect(before.length).toBeGreaterThan(0)
    // A few operations may be in flight at one of the two measurements.
    const grown = before.map(({ signal, count }) => countOf(signal) - count)
    expect(Math.max(...grown)).toBeLessThan(10)
    await during(clock, client.close())
  })
})
