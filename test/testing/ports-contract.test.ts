import { KyTransport, SystemClock } from 'acestream-orchestrator-client'
import { describeCache, describeClock, describeTransport, ManualClock } from 'acestream-orchestrator-client/testing'
import Keyv from 'keyv'
import { describe, expect, it } from 'vitest'
import { MemoryCache } from '../../src/runtime/cache.ts'
import { SteadyClock } from '../../src/runtime/steady-clock.ts'

const declare = (name: string, run: () => Promise<void>) => it(name, () => expect(run()).resolves.toBeUndefined())
const runner = { describe, it: declare }

const manual = () => {
  const clock = new ManualClock()
  return { clock, advance: (ms: number) => clock.advance(ms), stepWallClock: (deltaMs: number) => clock.stepWallClock(deltaMs) }
}

describeClock(() => new SystemClock(), { ...runner, name: 'the system clock' })
describeClock(manual, { ...runner, name: 'the manual clock' })
describeClock(() => ({ ...manual(), clock: SteadyClock.of(new SystemClock()), advance: undefined, stepWallClock: undefined }), {
  ...runner,
  name: 'a steady clock on the system clock',
})

describeCache(() => new MemoryCache(new ManualClock()), { ...runner, name: 'the memory cache' })
describeCache(() => new Keyv(), { ...runner, name: 'Keyv' })

describeTransport(() => new KyTransport(), { ...runner, name: 'KyTransport' })
describeTransport((orchestrator) => orchestrator, { ...runner, name: 'the fake orchestrator', timeouts: false })
