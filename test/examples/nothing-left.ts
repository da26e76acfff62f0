import { expect } from 'vitest'
import { eventually, type Stage } from './stage.ts'

/** Checks that a proxy without viewers holds no slot and no session, and that it connected only to its orchestrator and its engines. */
export async function expectNothingLeft(
  { fake, engines, client, proxy, url, orchestratorUrl }: Stage,
  connections?: ReadonlySet<string>,
): Promise<void> {
  await eventually(() => expect(proxy.viewers).toBe(0))
  await eventually(() =>
    expect(client.metrics()).toMatchObject({ leases: { active: 0, waiting: 0 }, streams: { live: 0 }, events: { pending: 0 } }),
  )
  expect(engines.map(({ sessions }) => sessions.size)).toEqual(engines.map(() => 0))
  expect(engines.map(({ opened, stopCommands }) => stopCommands - opened)).toEqual(engines.map(() => 0))
  expect(fake.liveStreamIds()).toEqual([])
  expect(fake.counters).toMatchObject({ innocentsEnded: 0, endsApplied: fake.counters.startsApplied })
  if (connections === undefined) return
  const known = [orchestratorUrl, url, ...engines.map(({ host, port }) => `http://${host}:${port}`)].map((address) => new URL(address).host)
  expect([...connections].filter((address) => !known.includes(address))).toEqual([])
}
