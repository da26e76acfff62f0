import { type FakeOrchestratorOptions, ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { KeepAlive } from '../../src/runtime/timers.ts'
import { during, failureOf, setup } from '../support/setup.ts'

/** Counts the timers that keep the process alive. */
class CountingClock extends ManualClock {
  armed = 0
  keepAliveTimers = 0
  mostKeepAliveTimers = 0

  override setTimeout(callback: () => void, delayMs: number, { keepsAlive = false }: { readonly keepsAlive?: boolean } = {}) {
    this.armed += 1
    if (!keepsAlive) return super.setTimeout(callback, delayMs)
    let isOver = false
    const markOver = (): void => {
      if (!isOver) this.keepAliveTimers -= 1
      isOver = true
    }
    this.keepAliveTimers += 1
    this.mostKeepAliveTimers = Math.max(this.mostKeepAliveTimers, this.keepAliveTimers)
    const timer = super.setTimeout(() => {
      markOver()
      callback()
    }, delayMs)
    const cancel = (): void => {
      markOver()
      timer.cancel()
    }
    return { cancel }
  }
}

function world(fakeOptions: FakeOrchestratorOptions = {}) {
  const clock = new CountingClock()
  return { ...setup({ engines: 2, clock, ...fakeOptions }, { clock }), clock }
}

describe('the process', () => {
  it('is kept alive by one timer while any number of calls wait, until the last of them has settled', async () => {
    const { client, fake, clock } = world()
    fake.latencyMs = 100
    const soon = Array.from({ length: 50 }, () => client.listStreams())
    await clock.settle()
    expect(clock.keepAliveTimers).toBe(1)
    await clock.advance(60)
    const late = Array.from({ length: 50 }, () => client.listEngines({ fresh: true }))
    await during(clock, Promise.all(soon))
    const last = client.listStreams()
    await during(clock, Promise.all([...late, last]))
    expect([clock.keepAliveTimers, clock.mostKeepAliveTimers]).toEqual([0, 1])
  })

  it('is kept alive for ten hours by a call that takes ten hours', async () => {
    const clock = new CountingClock()
    const { promise, resolve } = Promise.withResolvers<string>()
    const waiting = new KeepAlive(clock).during(promise)
    await clock.advance(10 * 3_600_000)
    expect([clock.keepAliveTimers, clock.mostKeepAliveTimers]).toEqual([1, 1])
    resolve('done')
    expect(await waiting).toBe('done')
    expect([clock.keepAliveTimers, clock.pendingCount]).toEqual([0, 0])
  })

  it('needs no timer for calls that are answered from memory', async () => {
    const { client, clock } = world()
    const lease = await client.acquireEngine()
    await client.listEngines()
    await clock.settle()
    const { armed, mostKeepAliveTimers } = clock
    await Promise.all(Array.from({ length: 100 }, () => client.listEngines()))
    for (let index = 0; index < 100; index += 1) await client.listEngines()
    await clock.settle()
    expect(clock.armed).toBe(armed)
    await client.acquireEngine()
    await lease.release()
    await client.flush()
    await client.acquireEngine()
    await clock.settle()
    expect(clock.mostKeepAliveTimers).toBe(mostKeepAliveTimers)
  })

  it('may exit as soon as its last call is aborted, or the client is closed', async () => {
    const { client, fake, clock } = world()
    fake.inject({ kind: 'lost-request', times: Number.POSITIVE_INFINITY })
    const leaving = new AbortController()
    const listing = failureOf(client.listStreams({}, { signal: leaving.signal }))
    await clock.settle()
    expect(clock.keepAliveTimers).toBe(1)
    leaving.abort('left')
    expect(await listing).toBe('left')
    await clock.settle()
    expect(clock.keepAliveTimers).toBe(0)
    const others = [client.listStreams(), client.listEngines(), client.checkHealth(), client.acquireEngine()].map(failureOf)
    await clock.settle()
    expect(clock.keepAliveTimers).toBe(1)
    await client.close({ timeoutMs: 0 })
    await Promise.all(others)
    await clock.settle()
    expect(clock.keepAliveTimers).toBe(0)
  })

  it('is not kept alive by the periodic work of the client', async () => {
    const clock = new CountingClock()
    const { client, fake } = setup(
      { engines: 2, clock, latencyMs: 100 },
      { clock, healthIntervalMs: 2_000, reconcileIntervalMs: 2_000, sweepIntervalMs: 2_000 },
    )
    const listing = client.listEngines()
    await clock.advance(500)
    await listing
    const requests = fake.counters.requests.total
    for (let steps = 0; steps < 200; steps += 1) {
      await clock.advance(50)
      expect(clock.keepAliveTimers).toBe(0)
    }
    expect(fake.counters.requests.total).toBeGreaterThan(requests)
  })
})
