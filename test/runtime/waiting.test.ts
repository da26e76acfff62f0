import { getEventListeners } from 'node:events'
import { SystemClock } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import { callbackCount, onAbort, pause, waitUnlessAborted } from '../../src/runtime/abort.ts'
import { MemoryCache } from '../../src/runtime/cache.ts'
import { Periodic } from '../../src/runtime/timers.ts'

describe('waiting for a promise', () => {
  it('[I8] with a signal that is aborted already still handles a rejection of the promise', async () => {
    const work = Promise.reject(new Error('failed after the abort'))
    const then = vi.spyOn(work, 'then')
    await expect(waitUnlessAborted(work, AbortSignal.abort('gone'))).rejects.toBe('gone')
    expect(then.mock.calls.some(([, onRejected]) => typeof onRejected === 'function')).toBe(true)
  })

  it('[I7] leaves no listener after a success, a failure or an abort', async () => {
    const abort = new AbortController()
    const never = new Promise<never>(() => {})
    await waitUnlessAborted(Promise.resolve(1), abort.signal)
    await waitUnlessAborted(Promise.reject(new Error('failed')), abort.signal).catch(() => {})
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(0)
    const waiting = waitUnlessAborted(never, abort.signal)
    abort.abort('gone')
    await expect(waiting).rejects.toBe('gone')
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(0)
  })
})

describe('the callbacks that share a signal', () => {
  it('are called in order, once, and without the callbacks that were cancelled, also while the signal aborts', () => {
    const abort = new AbortController()
    const called: string[] = []
    const stop = onAbort(abort.signal, () => called.push('cancelled before'))
    onAbort(abort.signal, () => {
      called.push('first')
      stopSecond()
    })
    const stopSecond = onAbort(abort.signal, () => called.push('cancelled meanwhile'))
    onAbort(abort.signal, () => called.push('last'))
    stop()
    abort.abort()
    abort.abort()
    expect(called).toEqual(['first', 'last'])
    expect([callbackCount(abort.signal), getEventListeners(abort.signal, 'abort').length]).toEqual([0, 0])
  })
})

describe('a pause', () => {
  it('[I7] leaves neither timer nor listener, whether it ends or is aborted', async () => {
    const clock = new ManualClock()
    const abort = new AbortController()
    const first = pause(clock, 1_000, abort.signal)
    await clock.advance(1_000)
    await first
    expect(getEventListeners(abort.signal, 'abort')).toHaveLength(0)
    const second = pause(clock, 1_000, abort.signal)
    abort.abort('closed')
    await expect(second).rejects.toBe('closed')
    await expect(pause(clock, 1_000, abort.signal)).rejects.toBe('closed')
    expect([clock.pendingCount, getEventListeners(abort.signal, 'abort').length]).toEqual([0, 0])
  })
})

describe('a periodic task', () => {
  it('runs again 1 s after its last run ended, even if that failed, and is not doubled by a second start()', async () => {
    const clock = new ManualClock()
    const runs: number[] = []
    const began = clock.now()
    const periodic = new Periodic(clock, 1_000, async () => {
      runs.push(clock.now() - began)
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 300))
      throw new Error('fails every time')
    })
    periodic.start()
    periodic.start()
    await clock.advance(4_000)
    expect(runs).toEqual([1_000, 2_300, 3_600])
  })

  it('[I8] never runs again after stop() during a run', async () => {
    const clock = new ManualClock()
    let runs = 0
    const periodic = new Periodic(clock, 1_000, async () => {
      runs += 1
      await new Promise<void>((resolve) => clock.setTimeout(resolve, 300))
    })
    periodic.start()
    await clock.advance(1_100)
    periodic.stop()
    await clock.advance(10_000)
    expect([runs, clock.pendingCount]).toEqual([1, 0])
  })
})

describe('the memory cache', () => {
  it.each([0, Date.UTC(2026, 0, 1)])('forgets a value after its ttl, on a clock that starts at %i', async (startMs) => {
    const clock = new ManualClock(startMs)
    const cache = new MemoryCache(clock)
    cache.set('x', { list: 1 }, 1_000)
    await clock.advance(1_000)
    expect(cache.get('x')).toEqual({ list: 1 })
    await clock.advance(1)
    expect(cache.get('x')).toBeUndefined()
  })

  it('keeps a value without a ttl by reference, until it is deleted or set to undefined or null', async () => {
    const clock = new ManualClock()
    const cache = new MemoryCache(clock)
    const value = { list: 1 }
    for (const key of ['x', 'y', 'z']) cache.set(key, value)
    await clock.advance(1e12)
    expect(cache.get('x')).toBe(value)
    cache.delete('x')
    cache.set('y', undefined)
    cache.set('z', null)
    expect(['x', 'y', 'z'].map((key) => cache.get(key))).toEqual([undefined, undefined, undefined])
  })
})

describe('the system clock', () => {
  it('does not fire a timer of one year at once, and its timers do not keep the process alive', () => {
    const delays: unknown[] = []
    let isUnref = false
    vi.spyOn(globalThis, 'setTimeout').mockImplementation(((_: unknown, delayMs: number) => {
      delays.push(delayMs)
      return {
        unref: () => {
          isUnref = true
        },
      }
    }) as never)
    new SystemClock().setTimeout(() => {}, 365 * 86_400_000)
    expect(delays).toEqual([2_147_483_647])
    expect(isUnref).toBe(true)
  })

  it('does not fire a cancelled timer, and reads the time of the system', async () => {
    let fired = 0
    const clock = new SystemClock()
    const cancelled = clock.setTimeout(() => {
      fired += 1
    }, 0)
    cancelled.cancel()
    await new Promise<void>((resolve) => clock.setTimeout(resolve, 1))
    cancelled.cancel()
    expect(fired).toBe(0)
    const before = Date.now()
    const now = clock.now()
    expect(now).toBeGreaterThanOrEqual(before)
    expect(now).toBeLessThanOrEqual(Date.now())
  })
})
