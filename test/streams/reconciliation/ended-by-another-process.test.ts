import type { StateStore, StreamHandle } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { Fleet, type Member } from '../../support/fleet.ts'
import { during, playback } from '../../support/setup.ts'

/** Longer than the time to live of a silent process (15 s), and than two reconcile intervals (30 s each). */
const RECOVERY_MS = 61_000

/** Two proxies that share a store. The first has the live stream `x`. */
async function world(options: { ofSecond?: (store: StateStore) => Partial<StateStore> } = {}) {
  const fleet = new Fleet({ engines: 2 })
  const { clock, fake, state } = fleet
  const heartbeat = { isFailing: false }
  const first = fleet.join({}, ({ renew }) => ({ renew: () => (heartbeat.isFailing ? Promise.reject(new Error('silent')) : renew?.()) }))
  const stream = await watch(fleet, first)
  const second = fleet.join({}, options.ofSecond)
  await second.client.listEngines()
  return { fleet, clock, fake, state, first, second, stream, heartbeat }
}

async function watch({ clock }: Fleet, { client }: Member): Promise<StreamHandle> {
  const lease = await during(clock, client.acquireEngine({ waitMs: 0, provision: false }))
  return during(clock, lease.startStream({ ...playback(), streamId: 'x' }))
}

const slotsIn = ({ state }: Fleet): string[] => [...state.memory.usage().values()].flatMap(({ streamIds }) => [...streamIds])

describe('a stream of this process that another process has ended', () => {
  it('leaves neither its slot nor its journal entry behind when its host ends it too', async () => {
    // Journal writes of the other process fail, so that the entry of this process is neither replaced nor deleted.
    const fail = () => Promise.reject(new Error('away'))
    const { fleet, clock, fake, state, second, stream } = await world({ ofSecond: () => ({ append: fail, settle: fail }) })
    expect(await during(clock, second.client.streamEnded('x'))).toMatchObject({ outcome: 'delivered' })
    expect([...state.journal.keys()]).toEqual(['x'])
    expect(await during(clock, stream.end())).toEqual({ outcome: 'duplicate', attempts: 0 })
    expect(slotsIn(fleet)).toEqual([])
    await clock.advance(RECOVERY_MS)
    expect([fake.liveStreamIds(), [...state.journal.keys()]]).toEqual([[], []])
    expect(fake.counters.requests.byRoute['POST /events/stream_ended']).toBe(1)
  })

  it('keeps its journal entry while it is listed, so that it is ended even if the other process died before its end was applied', async () => {
    const { fleet, clock, fake, state, second, stream, first } = await world()
    fake.inject({ kind: 'lost-request', route: 'POST /events/stream_ended' })
    void second.client.streamEnded('x')
    await clock.settle()
    second.die()
    expect(await during(clock, stream.end())).toEqual({ outcome: 'duplicate', attempts: 0 })
    expect([fake.liveStreamIds(), [...state.journal.keys()]]).toEqual([['x'], ['x']])
    await clock.advance(RECOVERY_MS)
    expect([fake.liveStreamIds(), [...state.journal.keys()], slotsIn(fleet)]).toEqual([[], [], []])
    expect(first.client.metrics().events.pending).toBe(0)
  })

  it('[I5] leaves the journal entry of a later stream with its id, which a third process started, in place', async () => {
    const { fleet, clock, fake, state, second, stream } = await world()
    await during(clock, second.client.streamEnded('x'))
    expect((await during(clock, stream.end())).outcome).toBe('duplicate')
    const third = fleet.join()
    const lease = await during(clock, third.client.acquireEngine({ waitMs: 0, provision: false }))
    await during(clock, lease.startStream({ ...playback(undefined, 'session-2'), streamId: 'x' }))
    await clock.advance(RECOVERY_MS)
    expect([fake.liveStreamIds(), [...state.journal.keys()], slotsIn(fleet)]).toEqual([['x'], ['x'], ['x']])
    third.die()
    await clock.advance(RECOVERY_MS)
    expect([fake.liveStreamIds(), [...state.journal.keys()], slotsIn(fleet)]).toEqual([[], [], []])
  })

  it('[I5] is still ended after a crash if it was announced again before the other process settled its end', async () => {
    const settling = Promise.withResolvers<void>()
    const { clock, fake, state, first, second, stream, heartbeat } = await world({
      ofSecond: (store) => ({ settle: (...given) => settling.promise.then(() => store.settle(...given)) }),
    })
    // Without heartbeats the first process is taken for dead, and the second one ends its stream.
    heartbeat.isFailing = true
    const ended: string[] = []
    second.client.on('stream:ended', ({ streamId }) => void ended.push(streamId))
    const again: string[] = []
    first.client.on('stream:reannounced', ({ streamId }) => void again.push(streamId))
    for (let passed = 0; again.length === 0 && passed < RECOVERY_MS; passed += 1_000) await clock.advance(1_000)
    expect([ended, again, stream.state, fake.liveStreamIds()]).toEqual([['x'], ['x'], 'live', ['x']])
    settling.resolve()
    await clock.settle()
    expect([...state.journal.keys()]).toEqual(['x'])
    first.die()
    await clock.advance(RECOVERY_MS)
    expect([fake.liveStreamIds(), [...state.journal.keys()]]).toEqual([[], []])
  })
})
