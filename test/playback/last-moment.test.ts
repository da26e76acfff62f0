import { expect, it } from 'vitest'
import { EnginesHost } from '../support/engines-host.ts'
import { failureOf, setup } from '../support/setup.ts'

const CONTENT = { keyType: 'infohash', key: 'a'.repeat(40) } as const

it('a caller that waits is not rejected because it joined in the microtask in which the opening of less patient callers failed', async () => {
  const { client, clock } = setup({ engines: 1, maxReplicas: 1 })
  const host = new EnginesHost(clock)
  const join = (waitMs: number) => client.joinStream({ ...CONTENT, open: host.open, close: host.close, waitMs, provision: false })
  await client.openStream({ keyType: 'infohash', key: 'other', open: host.open })
  const rejectedEarly: number[] = []
  for (let microtasks = 0; microtasks < 60; microtasks += 1) {
    await client.listEngines({ fresh: true })
    const impatient = failureOf(join(0))
    for (let step = 0; step < microtasks; step += 1) await Promise.resolve()
    let isSettled = false
    const patient = failureOf(join(5_000)).then(() => {
      isSettled = true
    })
    await impatient
    await clock.advance(100)
    if (isSettled) rejectedEarly.push(microtasks)
    await clock.advance(10_000)
    await patient
  }
  expect(rejectedEarly).toEqual([])
})

it('a caller that does not wait leaves no timer behind, if the opening waits for a newer engine list when the client closes', async () => {
  const { client, clock } = setup({ engines: 1, maxReplicas: 1 }, { cacheTtlMs: 500 })
  const host = new EnginesHost(clock)
  host.onOpen = () => ({ delayMs: 4_800 })
  const join = (waitMs: number) =>
    client.joinStream({ ...CONTENT, open: host.open, close: host.close, waitMs, openTimeoutMs: 4_000, provision: false })
  const joining = [failureOf(join(0)), failureOf(join(3_000))]
  await clock.settle()
  joining.push(failureOf(client.acquireEngine({ waitMs: 40_000, provision: false })))
  await clock.advance(4_500)
  const closed = client.close({ timeoutMs: 0 })
  await clock.advance(0)
  await closed
  await Promise.all(joining)
  await clock.advance(400) // the playback opens late
  expect([host.closes.get('session 1'), clock.pendingCount]).toEqual([1, 0])
})
