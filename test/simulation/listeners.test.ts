import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { playback, setup } from '../support/setup.ts'

const CALLS = 10_000

/** A signal that knows how many listen to it. */
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
  it('[I7] has no listener left, whether they succeeded or failed', async () => {
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
