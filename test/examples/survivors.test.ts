import { describe, expect, it } from 'vitest'
import type { FleetVisit } from '../../examples/fleet/audience.ts'
import { Survivors } from '../../examples/fleet/survivors.ts'

const PROXY = { url: 'http://proxy', isDead: false }

function visit(infohash: string, state = 'watching'): FleetVisit {
  return { viewer: { state, bytes: 1 } as FleetVisit['viewer'], proxy: PROXY, infohash, isLeaving: false }
}

/** Watches the streams from the first list on; `change` happens before the second list is read. */
async function endedAfter(visits: FleetVisit[], lists: readonly (readonly string[])[], change: () => void = () => {}): Promise<string[]> {
  const done = new AbortController()
  let next = 0
  const world = {
    liveStreams: async () => {
      if (next === 1) change()
      const list = lists[Math.min(next++, lists.length - 1)] ?? []
      if (next > lists.length) done.abort()
      return list.map((infohash) => `${infohash}|session`)
    },
  }
  const survivors = await Survivors.of(world, visits)
  await survivors.watch(done.signal)
  return [...survivors.ended].map(({ infohash }) => infohash)
}

describe('a stream that runs through an outage of Redis', () => {
  it('was ended if the orchestrator did not list it for a moment, though it does again', async () => {
    expect(await endedAfter([visit('a'), visit('b')], [['a', 'b'], ['b'], ['a', 'b']])).toEqual(['a'])
  })

  it('was ended if its viewer was cut off, though it is still listed', async () => {
    const cut = visit('a')
    expect(
      await endedAfter(
        [cut, visit('b')],
        [
          ['a', 'b'],
          ['a', 'b'],
          ['a', 'b'],
        ],
        () => {
          cut.viewer.state = 'failed'
        },
      ),
    ).toEqual(['a'])
  })

  it('was not ended if its viewer left by itself', async () => {
    const left = visit('a')
    expect(
      await endedAfter([left, visit('b')], [['a', 'b'], ['b'], ['b']], () => {
        left.isLeaving = true
        left.viewer.state = 'served'
      }),
    ).toEqual([])
  })

  it('is none if it was not announced or not watched yet when Redis went away', async () => {
    expect(await endedAfter([visit('a'), visit('b', 'waiting')], [['b'], [], []])).toEqual([])
  })
})
