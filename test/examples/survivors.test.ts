import { describe, expect, it } from 'vitest'
import type { FleetVisit } from '../../examples/fleet/audience.ts'
import { Survivors } from '../../examples/fleet/survivors.ts'

const PROXY = { url: 'http://proxy', isDead: false }

function visit(infohash: string, state = 'watching'): FleetVisit {
  return { viewer: { state, bytes: 1 } as FleetVisit['viewer'], proxy: PROXY, infohash, isLeaving: false }
}

/** Watches the streams from the first list on. Calls `change` before the second list is read. Returns the streams that were ended. */
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
  it('counts as ended if the orchestrator did not list it once, even if it is listed again', async () => {
    expect(await endedAfter([visit('a'), visit('b')], [['a', 'b'], ['b'], ['a', 'b']])).toEqual(['a'])
  })

  it('counts as ended if its viewer was cut off, even if it is still listed', async () => {
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

  it('does not count as ended if its viewer left by itself', async () => {
    const left = visit('a')
    expect(
      await endedAfter([left, visit('b')], [['a', 'b'], ['b'], ['b']], () => {
        left.isLeaving = true
        left.viewer.state = 'served'
      }),
    ).toEqual([])
  })

  it('is not counted if it was not announced or not watched when Redis was killed', async () => {
    expect(await endedAfter([visit('a'), visit('b', 'waiting')], [['b'], [], []])).toEqual([])
  })
})
