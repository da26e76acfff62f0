import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import type { FakeEngine } from '../../examples/demo/fake-engine.ts'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { eventually, expectFurtherBytes, playing, type Stage, stage, view } from './stage.ts'

describe('an engine that fails during a stream', () => {
  it.each(['breaks off', 'falls silent'])('is replaced once by another engine in the same response (the engine %s)', async (failure) => {
    const silences = holdTimers()
    const { fake, engines, proxy, client, url } = await stage({ engineCount: 3, proxy: { idleTimeoutMs: HELD_MS } })
    const reasons: unknown[] = []
    client.on('stream:ended', ({ reason }) => reasons.push(reason))
    const viewer = await view(url)
    fail(playing(engines), failure)
    await eventually(() => {
      if (failure === 'falls silent' && proxy.figures.rescued === 0) silences.fire()
      expect(proxy.figures.rescued).toBe(1)
    })
    await expectFurtherBytes(viewer)
    await eventually(() => expect(reasons).toEqual(['failed']))
    await eventually(() => expect(fake.liveStreamIds()).toHaveLength(1))
    await eventually(() => expect(engines.map(({ sessions }) => sessions.size).sort()).toEqual([0, 0, 1]))
    fail(playing(engines), failure)
    await eventually(() => {
      if (failure === 'falls silent') silences.fire()
      expect(viewer.state).toBe('failed')
    })
    expect(viewer).toMatchObject({ state: 'failed', reason: 'cut off during the stream' })
    expect(proxy.figures).toEqual({ rescued: 1, cutOff: 1, tooSlow: 0 })
    await eventually(() => expect(fake.liveStreamIds()).toEqual([]))
  })

  it('is replaced each time, in the same response, if it has played for at least idleTimeoutMs', async () => {
    const idleTimeoutMs = 600_000
    const { engines, proxy, url } = await stage({ engineCount: 4, proxy: { idleTimeoutMs } })
    let playedMs = 0
    const now = performance.now.bind(performance)
    vi.spyOn(performance, 'now').mockImplementation(() => now() + playedMs)
    const viewer = await view(url)
    for (const rescued of [1, 2, 3]) {
      playedMs += idleTimeoutMs
      await expectFurtherBytes(viewer)
      playing(engines).breakOff()
      await eventually(() => expect(proxy.figures).toEqual({ rescued, cutOff: 0, tooSlow: 0 }))
      await expectFurtherBytes(viewer)
    }
  })
})

describe('a lost stream', () => {
  it.each(GENERATIONS)('continues on a new engine after a restart of %s, and both streams are listed once', async (generation) => {
    const { fake, engines, client, proxy, url } = await stage({ engineCount: 2, fake: { generation } })
    const viewers = [await view(url, 1), await view(url, 2)]
    fake.restart()
    // The stopped engines keep their connections open and send nothing, so only the reconciliation detects the loss.
    for (const engine of engines) engine.fallSilent()
    expect((await client.reconcile()).lost).toHaveLength(2)
    await Promise.all(viewers.map((viewer) => expectFurtherBytes(viewer)))
    await eventually(() => expect(fake.liveStreamIds()).toHaveLength(2))
    expect(proxy.figures).toEqual({ rescued: 2, cutOff: 0, tooSlow: 0 })
    expect(client.metrics()).toMatchObject({ streams: { live: 2 }, leases: { active: 0 } })
    await Promise.all(viewers.map((viewer) => viewer.leave()))
    await eventually(() => expect(fake.liveStreamIds()).toEqual([]))
    expect(engines.map(({ sessions }) => sessions.size)).toEqual([0, 0])
    expect(fake.counters.innocentsEnded).toBe(0)
  })

  it('continues on another engine when its own vanishes, and is no longer listed on the old one', async () => {
    const { fake, engines, client, url } = await stageWithoutReplacement(2)
    const viewer = await view(url)
    const before = playing(engines)
    removeEngineOf(fake, before)
    await client.reconcile()
    await expectFurtherBytes(viewer)
    expect(playing(engines)).not.toBe(before)
    await eventually(() => expect(fake.streams).toHaveLength(1))
    expect(before.sessions.size).toBe(0)
  })

  it('cuts its viewer off and frees its slot if no other engine has room, even if the old engine still plays', async () => {
    const { fake, engines, client, proxy, url } = await stageWithoutReplacement(2)
    const viewer = await view(url)
    const gone = playing(engines)
    const full = fake.engines.find(({ port }) => port !== gone.port)
    const elsewhere = fake.startElsewhere({ containerId: full?.containerId ?? '' })
    removeEngineOf(fake, gone)
    await client.reconcile()
    await viewer.gone
    expect(viewer.reason).toBe('cut off during the stream')
    expect(proxy.figures).toEqual({ rescued: 0, cutOff: 1, tooSlow: 0 })
    await eventually(() => expect(client.metrics()).toMatchObject({ streams: { live: 0 }, leases: { active: 0 }, events: { pending: 0 } }))
    expect(fake.liveStreamIds()).toEqual([elsewhere])
    expect(gone.sessions.size).toBe(0)
  })
})

/** A stage with v1, where a stream is lost with its engine. `minReplicas: 0`: a vanished engine is not replaced. */
function stageWithoutReplacement(engineCount: number): Promise<Stage> {
  return stage({ engineCount, fake: { generation: 'v1', minReplicas: 0 } })
}

function fail(engine: FakeEngine, how: string): void {
  if (how === 'breaks off') engine.breakOff()
  else engine.fallSilent()
}

function removeEngineOf(fake: Stage['fake'], { port }: FakeEngine): void {
  fake.removeEngine(fake.engines.find((engine) => engine.port === port)?.containerId ?? '')
}
