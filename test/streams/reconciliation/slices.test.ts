import { describe, expect, it } from 'vitest'
import { waitOneTurn } from '../../../src/runtime/clock.ts'
import { Slices } from '../../../src/runtime/slices.ts'
import { playback, setup } from '../../support/setup.ts'

/** More than one slice. */
const STREAMS = 2_500

const quiet = { dialect: 'unversioned', reconcileIntervalMs: 0, healthIntervalMs: 0, sweepIntervalMs: 0 } as const

describe('a reconciliation of thousands of streams', () => {
  it('lets the event loop turn between two slices', async () => {
    const { client } = setup({ generation: '2025-10', engines: 1 }, { ...quiet, maxStreamsPerEngine: STREAMS })
    const [engine] = await client.listEngines()
    if (engine === undefined) throw new Error('no engine')
    for (let index = 0; index < STREAMS; index += 1) {
      await client.streamStarted({ engine, ...playback(`${index}`), streamId: `stream-${index}` })
    }
    const turnsOf = async (work: Promise<unknown>): Promise<number> => {
      let [turns, isOver] = [0, false]
      const over = (): void => {
        isOver = true
      }
      work.then(over, over)
      for (; !isOver; turns += 1) await waitOneTurn()
      return turns
    }
    const readingTurns = await turnsOf(Promise.all([client.listEngines({ fresh: true }), client.listStreams({ status: 'started' })]))
    const reconciling = client.reconcile()
    expect(await turnsOf(reconciling)).toBeGreaterThan(readingTurns)
    expect((await reconciling).confirmed).toHaveLength(STREAMS)
  })
})

describe('slices', () => {
  it('end after as many units as they have, and not before', async () => {
    const slices = new Slices(10, new AbortController().signal)
    expect([slices.count(4), slices.count(5)]).toEqual([undefined, undefined])
    const next = slices.count(1)
    expect(next).toBeInstanceOf(Promise)
    await next
    expect(slices.count(9)).toBeUndefined()
  })

  it('reject with the reason of their signal after it has aborted', async () => {
    const lifetime = new AbortController()
    const slices = new Slices(1, lifetime.signal)
    const next = slices.count(1)
    lifetime.abort('closed')
    await expect(next).rejects.toBe('closed')
  })
})
