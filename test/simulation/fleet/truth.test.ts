import { expect, it } from 'vitest'
import { MemberStatus } from './member-status.ts'
import { REPORTED_MS } from './settings.ts'
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
