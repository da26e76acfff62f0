import { FakeOrchestrator, GENERATIONS, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { HeldLease } from '../../src/engines/leases/engine-lease.ts'
import { resolveOptions } from '../../src/options/resolve.ts'
import { TrackedStream } from '../../src/streams/tracked-stream.ts'
import { buildParts } from '../../src/wiring.ts'
import { during, playback } from '../support/setup.ts'

describe.each(GENERATIONS)('on %s, while the playback of a stream is closed, which takes 900 ms', (generation) => {
  /** Streams with playbacks, on two engines. */
  function world() {
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ clock, generation, engines: 2, random: seededRandom(1) })
    const lifetime = new AbortController()
    onTestFinished(() => lifetime.abort())
    const baseUrl = 'http://orchestrator.test'
    const options = resolveOptions({ baseUrl, apiKey: fake.apiKey, transport: fake, clock, random: seededRandom(2), watch: false })
    const { allocator, leases, ender } = buildParts(options, lifetime.signal)
    const close = () => new Promise<void>((resolve) => clock.setTimeout(resolve, 900))
    const watch = async (streamId: string, key: string, exclude: readonly string[] = []): Promise<TrackedStream> => {
      const lease = await allocator.acquire({ exclude: new Set(exclude), mayProvision: false, waitMs: 0, signal: undefined })
      if (!(lease instanceof HeldLease)) throw new Error('expected a lease on a listed engine')
      const stream = await leases.startStream(lease, { ...playback(key), streamId }, { signal: undefined, playback: { close } })
      if (!(stream instanceof TrackedStream)) throw new Error('expected a stream of this client')
      return stream
    }
    const order = () => fake.log.map(({ kind, streamId }) => `${streamId} ${kind}`)
    return { clock, fake, ender, watch, order }
  }

  it.each(['its host ended it', 'its engine was lost'])(
    'a new stream of the content starts at once and stays listed, after %s (H6)',
    async (cause) => {
      const { clock, fake, ender, watch, order } = world()
      const first = await watch('first', 'k')
      if (cause === 'its engine was lost') ender.markLost(first)
      const ending = first.end()
      const second = await watch('second', 'k', [first.engine.containerId ?? ''])
      expect(second.state).toBe(generation === 'v1' ? 'live' : 'announcing')
      await during(clock, ending)
      await clock.advance(1_000)
      expect([second.state, fake.liveStreamIds(), fake.counters.namesakesEnded]).toEqual(['live', ['second'], 0])
      if (generation === 'v1') expect(order()).toEqual(['first started', 'second started', 'first ended'])
      else expect(order()).toEqual(['first started', 'first ended', 'second started'])
    },
  )

  it('a new stream of the content is live as soon as the end of the first is applied, if it starts when the playback is closed', async () => {
    const { clock, fake, watch } = world()
    const first = await watch('first', 'k')
    fake.latencyMs = () => 100
    const ending = first.end()
    await clock.advance(920)
    const second = await during(clock, watch('second', 'k', [first.engine.containerId ?? '']))
    expect(second.state).toBe('live')
    await during(clock, ending)
    expect(fake.liveStreamIds()).toEqual(['second'])
  })

  it('a stream of another content starts at once', async () => {
    const { clock, watch, order } = world()
    const first = await watch('first', 'k')
    const ending = first.end()
    await during(clock, watch('second', 'other', [first.engine.containerId ?? '']))
    await during(clock, ending)
    expect(order()).toEqual(['first started', 'second started', 'first ended'])
  })
})
