import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, playback, setup } from '../../support/setup.ts'

const START = 'POST /events/stream_started'
const END = 'POST /events/stream_ended'

describe.each(GENERATIONS)('while event requests to %s fail', (generation) => {
  const world = (engines: number) => {
    const made = setup({ generation, engines }, { dialect: generation === 'v1' ? 'v1' : 'unversioned', startWaitMs: 60_000 })
    const watch = async (streamId: string) => {
      const lease = await during(made.clock, made.client.acquireEngine())
      return lease.startStream({ ...playback('a'.repeat(40), streamId), streamId })
    }
    /** The result of `work` if it settles within `ms`, else `waits`. */
    const within = async <T>(work: Promise<T>, ms: number): Promise<T | 'waits'> => {
      await made.clock.advance(ms)
      return Promise.race([work, new Promise<'waits'>((resolve) => setImmediate(() => resolve('waits')))])
    }
    return { ...made, watch, within }
  }

  it('a start does not wait for an end that is queued behind a stalled end of the same id', async () => {
    const { client, fake, clock, watch, within } = world(2)
    const first = await watch('reused')
    fake.inject({ kind: 'refused', route: [START, END], times: Number.POSITIVE_INFINITY })
    void first.end()
    await clock.advance(1_000)
    const second = await during(clock, watch('reused'))
    void second.end()
    const next = [watch('next'), watch('one more')]
    expect(await within(Promise.all(next), 2_000)).toMatchObject([{ state: 'announcing' }, { state: 'announcing' }])
    fake.clearFaults()
    await clock.advance(60_000)
    expect(fake.liveStreamIds().toSorted()).toEqual(['next', 'one more'])
    expect(Object.values(fake.counters.peakLoad)).toEqual([1, 1])
    expect(client.metrics().events.pending).toBe(0)
  })

  it('a start does not wait for a chain of stalled ends whose ids were used three times', async () => {
    const { fake, clock, watch, within } = world(1)
    const ids = ['a', 'b', 'a', 'b', 'a', 'b']
    let previous = await watch(ids[0] ?? '')
    fake.inject({ kind: 'refused', route: [START, END], times: Number.POSITIVE_INFINITY })
    for (const id of ids.slice(1)) {
      void previous.end()
      const next = await within(watch(id), 5_000)
      if (next === 'waits') throw new Error(`the start of ${id} waits for the outage to end`)
      expect(next.state).toBe('announcing')
      previous = next
    }
    fake.clearFaults()
    await clock.advance(60_000)
    expect([previous.state, fake.liveStreamIds(), fake.counters.peakLoad]).toEqual([
      'live',
      ['b'],
      { [previous.engine.containerId ?? '']: 1 },
    ])
  })

  it('a start that gets no slot is rejected at once, although an end of the same id is stalled', async () => {
    const { client, fake, clock, within } = world(1)
    const lease = await during(clock, client.acquireEngine())
    const first = await during(clock, lease.startStream({ ...playback('a'.repeat(40), 'reused'), streamId: 'reused' }))
    fake.inject({ kind: 'refused', route: [START, END], times: Number.POSITIVE_INFINITY })
    void first.end()
    await clock.advance(1_000)
    const again = lease.startStream({ ...playback('a'.repeat(40), 'reused'), streamId: 'reused' }).catch((error: unknown) => error)
    expect(await within(again, 0)).toMatchObject({ code: 'INVALID_ARGUMENT', argument: 'lease' })
  })

  it('a start stops waiting within 4 s if the ends before it stall after it was queued', async () => {
    const { client, fake, clock, watch, within } = world(1)
    await watch('reused')
    fake.inject({ kind: 'lost-request', route: END, times: Number.POSITIVE_INFINITY })
    const ends = [client.streamEnded('reused')]
    const second = watch('reused')
    await clock.settle()
    ends.push(client.streamEnded('reused'))
    const next = watch('next')
    expect(await within(next, 2_000)).toBe('waits')
    expect(await within(next, 2_000)).toMatchObject({ state: 'announcing' })
    fake.clearFaults()
    await during(clock, Promise.all([...ends, second]))
    await clock.advance(30_000)
    expect([fake.liveStreamIds(), Object.values(fake.counters.peakLoad)]).toEqual([['next'], [1]])
  })

  it('leaving an `await using` block does not wait for an end that is queued behind a stalled start', async () => {
    const { fake, clock, watch, within } = world(1)
    await clock.settle()
    fake.inject({ kind: 'refused', route: [START, END], times: Number.POSITIVE_INFINITY })
    const stream = await during(clock, watch('x'))
    const left = (async () => {
      await using inner = stream
      return inner.id
    })()
    expect(await within(left, 1_000)).toBe('x')
  })
})
