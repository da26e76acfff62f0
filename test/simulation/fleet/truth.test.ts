import { expect, it } from 'vitest'
import { MemberStatus } from './member-status.ts'
import { LIMIT, REPORTED_MS, SLOT_TTL_MS, STEP_MS } from './settings.ts'
import { Truth, Violation } from './truth.ts'

const KEY = 'stream#life'

function fleetAt(now: number): Truth {
  const truth = new Truth(() => now)
  truth.storeUpSince = 0
  truth.storeWritableSince = 0
  return truth
}

it('[I4] the simulation rejects an end that two proxies claim while both have reached the store for long', () => {
  const now = 2 * REPORTED_MS
  const truth = fleetAt(now)
  truth.claimed(new MemberStatus(0), 'm1', KEY, now)
  expect(() => truth.claimed(new MemberStatus(0), 'm2', KEY, now)).toThrow(Violation)
})

it('[I4] the simulation accepts that a proxy whose client still connects claims an end that another proxy claims too', () => {
  const now = 2 * REPORTED_MS
  const truth = fleetAt(now)
  // Its store cannot ask yet, so it decides by its own memory.
  truth.claimed(new MemberStatus(now - 500), 'm1', KEY, now)
  truth.claimed(new MemberStatus(0), 'm2', KEY, now)
  // A third claim is not excused by the first.
  expect(() => truth.claimed(new MemberStatus(0), 'm3', KEY, now)).toThrow('claimed by m2 and by m3')
})

/** The lease of a proxy has expired, and other proxies have filled its engine. Then it becomes a stream. */
function promoteExpiredLease(owner: MemberStatus, now: number): Truth {
  const truth = fleetAt(now)
  const other = new MemberStatus(0)
  for (let place = 0; place < LIMIT; place += 1) truth.taken(other, `lease-${place}`, 'engine', now + 1, now)
  truth.promoted(owner, { leaseId: 'expired', containerId: 'engine', streamKey: KEY, begunAt: now })
  return truth
}

it('[I1] the simulation rejects a stream too many on an engine', () => {
  const truth = promoteExpiredLease(new MemberStatus(0), SLOT_TTL_MS)
  expect(() => truth.check()).toThrow(Violation)
})

it('[I1] the simulation accepts a stream too many of a proxy that slept for too long and then uses a lease that has expired', () => {
  const sleeper = new MemberStatus(0)
  const now = 2 * SLOT_TTL_MS
  for (let at = STEP_MS; at <= now; at += STEP_MS) sleeper.observe(at, { isClear: false, storeUpSince: 0, isObserved: true })
  expect(sleeper.mayBeTakenForDead).toBe(true)
  expect(() => promoteExpiredLease(sleeper, now).check()).not.toThrow()
})
