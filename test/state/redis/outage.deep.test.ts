import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { entryOf, FleetMember, freeAmong, live, rest, SLOT_TTL_MS } from '../../support/fleet-member.ts'
import { clock, Fleet } from '../../support/redis-fleet.ts'
import { isRedisMissing, ON_DISK } from '../../support/redis-server.ts'
import { isCompilerMissing, ServerTime } from '../../support/server-time.ts'

const NAMES = ['one', 'two', 'three']
const ENGINES = NAMES.flatMap((name) => [`engine of ${name}`, `spare of ${name}`])
const ALL_HELD = Object.fromEntries(
  NAMES.flatMap((name) => [
    [`engine of ${name}`, [`s:stream of ${name}`]],
    [`spare of ${name}`, [`l:lease of ${name}`]],
  ]),
)
const HOUR_MS = 3_600_000
const DAY_S = 86_400

/** Three proxies, each with a stream and a lease. */
async function threeProxies(fleet: Fleet, options: object = {}): Promise<FleetMember[]> {
  const members: FleetMember[] = []
  for (const name of NAMES) {
    const member = await FleetMember.join(fleet, name, options)
    await member.hold()
    members.push(member)
    await live(members, 1_500)
  }
  await live(members, SLOT_TTL_MS)
  expect(await fleet.slots()).toEqual(ALL_HELD)
  return members
}

/** No proxy has recovered a stream of another, all slots are unchanged, and each lease can still become a stream. */
async function expectUnharmed(fleet: Fleet, members: readonly FleetMember[]): Promise<void> {
  for (const member of members) expect(member.recovered, member.name).toEqual([])
  expect(await fleet.slots()).toEqual(ALL_HELD)
  expect(await fleet.journal()).toEqual(NAMES.map((name) => `stream of ${name}`).sort())
  for (const { name, store } of members) expect(await store.promote(`lease of ${name}`, `next of ${name}`), name).toBe(true)
  await rest(members)
}

/** One member by its number, and the others. */
const oneAndOthers = (members: readonly FleetMember[], first: number): [FleetMember, FleetMember[]] => {
  const [chosen] = members.slice(first)
  if (chosen === undefined) throw new RangeError(`no member ${first}`)
  return [chosen, members.filter((member) => member !== chosen)]
}

interface Outage {
  how: string
  forMs: number
  /** Seconds between the return of the first proxy and that of the others. */
  othersLaterS: number
  options?: object
  begin: (fleet: Fleet) => Promise<unknown>
  end: (fleet: Fleet) => Promise<unknown>
}

const restart = { begin: ({ server }: Fleet) => server.terminate(), end: ({ server }: Fleet) => server.start() }
const OUTAGES: readonly Outage[] = [
  { how: 'shut down and started again', forMs: 18_000, othersLaterS: 13, ...restart },
  { how: 'shut down and started again', forMs: 24_000, othersLaterS: 13, ...restart },
  {
    how: 'shut down and started again, while commands do not wait for a connection,',
    forMs: 8_000,
    othersLaterS: 13,
    options: { waitsOffline: false },
    ...restart,
  },
  {
    how: 'frozen',
    forMs: 21_000,
    othersLaterS: 13,
    begin: async ({ server }) => server.freeze(),
    end: async ({ server }) => server.thaw(),
  },
  {
    how: 'out of memory',
    forMs: 20_000,
    // Some writes are still allowed, so this is no outage: the others may be silent for at most one time to live in total.
    othersLaterS: 8,
    begin: ({ inspector }) => inspector.config('SET', 'maxmemory', 1),
    end: ({ inspector }) => inspector.config('SET', 'maxmemory', 0),
  },
]

describe.skipIf(isRedisMissing).each(['ioredis', 'node-redis'])('a Redis that was away and lost no data (%s)', (library) => {
  describe.each(OUTAGES)('$how for $forMs ms', ({ forMs, othersLaterS, options, begin, end }) => {
    it.each([0, 1, 2])(
      '[I2] ends no stream and frees no slot if proxy %i is back first and the others follow within the time to live',
      async (n) => {
        await using fleet = await Fleet.start({ extra: ON_DISK })
        const members = await threeProxies(fleet, { library, ...options })
        const [first, others] = oneAndOthers(members, n)
        await begin(fleet)
        await live(members, forMs, { isAnswering: false })
        for (const other of others) other.isCut = true
        await end(fleet)
        await fleet.reconnected()
        const found: unknown[] = []
        for (let second = 0; second < othersLaterS; second += 1) {
          await live(members, 1_000)
          found.push(await freeAmong(first.store, ENGINES))
        }
        for (const other of others) other.isCut = false
        for (let second = 0; second < 40; second += 1) {
          await live(members, 1_000)
          found.push(await freeAmong(first.store, ENGINES))
        }
        expect(found.filter((free) => free !== 'unavailable').flat()).toEqual([])
        expect(found.at(-1)).toEqual([])
        await expectUnharmed(fleet, members)
      },
    )
  })

  it('[I2] a proxy whose reports fail for less than the time to live retries within a second, and is not taken for dead', async () => {
    await using fleet = await Fleet.start()
    const members = await threeProxies(fleet, { library })
    const [cut, others] = oneAndOthers(members, 1)
    await cut.renew()
    await live(members, 250)
    cut.isCut = true
    await live(members, 13_250)
    cut.isCut = false
    // Its next regular report is not due yet, so only a retry can reach Redis.
    cut.isPaused = true
    await live(members, 1_000)
    cut.isPaused = false
    for (let second = 0; second < 20; second += 1) {
      await live(second < 4 ? others : members, 1_000)
      for (const { store } of others) expect(await freeAmong(store, ENGINES)).toEqual([])
    }
    await expectUnharmed(fleet, members)
  })

  it('[I2] a proxy that was paused for a minute takes no other for dead before a whole time to live has passed', async () => {
    await using fleet = await Fleet.start()
    const members = await threeProxies(fleet, { library })
    const [first, others] = oneAndOthers(members, 0)
    // All three run on one machine, which is suspended just after the first one has reported.
    await first.renew()
    for (const member of members) member.isPaused = true
    await live(members, 60_000)
    first.isPaused = false
    for (let second = 0; second < 14; second += 1) {
      await live(members, 1_000)
      expect(await freeAmong(first.store, ENGINES)).toEqual([])
    }
    for (const other of others) other.isPaused = false
    await live(members, 3 * SLOT_TTL_MS)
    await expectUnharmed(fleet, members)
  })

  it('[I2] a proxy that reaches Redis only now and then takes no proxy for dead that cannot reach Redis', async () => {
    await using fleet = await Fleet.start()
    const members = await threeProxies(fleet, { library })
    const [first, others] = oneAndOthers(members, 0)
    for (const member of members) member.isCut = true
    for (let round = 0; round < 6; round += 1) {
      await live(members, 3_000)
      first.isCut = false
      await live(members, 1_250)
      expect(await freeAmong(first.store, ENGINES)).toEqual([])
      first.isCut = true
    }
    for (const member of [first, ...others]) member.isCut = false
    await live(members, 3 * SLOT_TTL_MS)
    await expectUnharmed(fleet, members)
  })

  it('[I6] a proxy that does not come back after an outage is taken for dead', async () => {
    await using fleet = await Fleet.start({ extra: ON_DISK })
    const members = await threeProxies(fleet, { library })
    const [dead, others] = oneAndOthers(members, 2)
    await fleet.server.terminate()
    await live(members, 18_000, { isAnswering: false })
    dead.isCut = true
    await fleet.server.start()
    await live(others, 3 * SLOT_TTL_MS)
    expect(others.flatMap(({ recovered }) => recovered)).toEqual([entryOf(`stream of ${dead.name}`)])
    expect(await freeAmong(others[0]?.store ?? dead.store, ENGINES)).toEqual([`engine of ${dead.name}`, `spare of ${dead.name}`])
  })

  it('[I2] proxies whose clocks differ by an hour, and jump while they run, end no stream and free no slot', async () => {
    await using fleet = await Fleet.start()
    const members: FleetMember[] = []
    const walls = NAMES.map(() => new ManualClock(clock.now()))
    const hours = [0, 1, -1]
    for (const [place, name] of NAMES.entries()) {
      const wall = walls[place] ?? clock
      wall.stepWallClock((hours[place] ?? 0) * HOUR_MS)
      const own = {
        now: () => wall.now() - wall.monotonic() + clock.monotonic(),
        monotonic: () => clock.monotonic(),
        setTimeout: (callback: () => void, delayMs: number) => clock.setTimeout(callback, delayMs),
      }
      const member = await FleetMember.join(fleet, name, { library, clock: own })
      await member.hold()
      members.push(member)
    }
    for (const stepMs of [HOUR_MS, -50 * HOUR_MS, 7_000 * HOUR_MS]) {
      await live(members, SLOT_TTL_MS)
      for (const wall of walls) {
        wall.stepWallClock(stepMs)
        await live(members, 2_000)
      }
      for (const { store } of members) expect(await freeAmong(store, ENGINES)).toEqual([])
    }
    await live(members, 3 * SLOT_TTL_MS)
    await expectUnharmed(fleet, members)
  })

  it.skipIf(isCompilerMissing).each([
    ['forward by an hour', 3_600],
    ['back by a day', -DAY_S],
    ['forward by 40 days', 40 * DAY_S],
  ])('[I2] a server clock that jumps %s ends no stream and frees no slot', async (_, seconds) => {
    using time = new ServerTime()
    await using fleet = await Fleet.start({ env: time.env })
    const members = await threeProxies(fleet, { library })
    const before = await fleet.inspector.time()
    time.step(seconds)
    const after = await fleet.inspector.time()
    expect(Math.abs(Number(after[0]) - Number(before[0]) - seconds)).toBeLessThan(1_000)
    const found: unknown[] = []
    for (let second = 0; second < 40; second += 1) {
      await live(members, 1_000)
      for (const { store } of members) found.push(await freeAmong(store, ENGINES))
    }
    expect(found.filter((free) => free !== 'unavailable').flat()).toEqual([])
    expect(found.at(-1)).toEqual([])
    await expectUnharmed(fleet, members)
  })
})
