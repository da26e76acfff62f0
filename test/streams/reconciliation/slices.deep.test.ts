import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { waitOneTurn } from '../../../src/runtime/clock.ts'
import { playback, setup } from '../../support/setup.ts'

/** Enough for several slices. */
const STREAMS = 4_500

const quiet = { dialect: 'unversioned', reconcileIntervalMs: 0, healthIntervalMs: 0, sweepIntervalMs: 0 } as const

/** A client with so many live streams on one engine. */
async function watching(streams: number) {
  const world = setup({ generation: '2025-10', engines: 1 }, { ...quiet, maxStreamsPerEngine: 2 * STREAMS })
  const [engine] = await world.client.listEngines()
  if (engine === undefined) throw new Error('no engine')
  const start = (name: string) => world.client.streamStarted({ engine, ...playback(name), streamId: name })
  const live = await Promise.all(Array.from({ length: streams }, (_, index) => start(`stream-${index}`)))
  return { ...world, live, start }
}

describe('a reconciliation of thousands of streams', () => {
  it('[I4] [I5] ends no live stream and starts no ended stream again, whatever ends, starts or is forgotten between two slices', async () => {
    const event = fc.record({
      turn: fc.nat(8),
      kind: fc.constantFrom('end', 'end and start again', 'start another', 'forget'),
      index: fc.nat(STREAMS - 1),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { minLength: 1, maxLength: 12 }),
        fc.array(fc.nat(STREAMS - 1), { maxLength: 5 }),
        async (events, missing) => {
          const { client, fake, live, start } = await watching(STREAMS)
          const expected = new Set(live.map(({ id }) => id))
          for (const index of missing) fake.endElsewhere(`stream-${index}`)
          let isOver = false
          const work: Promise<unknown>[] = [client.reconcile().finally(() => (isOver = true))]
          for (let turn = 0; turn <= 8 || !isOver; turn += 1) {
            for (const [position, { kind, index }] of events.filter((each) => each.turn === turn).entries()) {
              const id = `stream-${index}`
              if (kind === 'start another') {
                expected.add(`other-${turn}-${position}`)
                work.push(start(`other-${turn}-${position}`))
              } else if (kind === 'forget') fake.endElsewhere(id)
              else if (expected.delete(id)) {
                work.push(client.streamEnded(id))
                if (kind === 'end and start again') {
                  expected.add(id)
                  work.push(start(id))
                }
              }
            }
            await waitOneTurn()
          }
          await Promise.all(work)
          // The streams that the orchestrator forgot meanwhile are found by the next reconciliation.
          await client.reconcile()
          expect(new Set(fake.liveStreamIds())).toEqual(expected)
          expect(client.metrics().streams.live).toBe(expected.size)
          await client.close()
        },
      ),
      { seed: 20_261_127, numRuns: 4 },
    )
  })
})
