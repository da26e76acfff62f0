import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it, vi } from 'vitest'
import { fetchText, type PlayerPlaylist, playlistOf, stoppedRequest, textOf } from './hls-player.ts'
import { eventually, playing, type Stage, stage } from './stage.ts'

/** Two engines whose sessions number their segments differently. */
async function twoEngines(options: Parameters<typeof stage>[0] = {}): Promise<Stage> {
  const world = await stage({ engineCount: 2, ...options })
  for (const [index, engine] of world.engines.entries()) engine.hls.firstNumber = index === 0 ? 500 : 20
  return world
}

/** Checks that a player can continue from one playlist to the next one, which another engine plays. */
function expectContinued(before: PlayerPlaylist, after: PlayerPlaylist): void {
  const next = before.sequence + before.segments.length
  expect(after).toMatchObject({
    sequence: next,
    breaks: [next],
    discontinuitySequence: before.discontinuitySequence + before.breaks.length,
  })
  expect(before.segments.filter((segment) => after.segments.includes(segment))).toEqual([])
}

describe('an engine of HLS that fails', () => {
  it('is replaced by another one with the next playlist, which continues after a discontinuity', async () => {
    const { fake, engines, client, proxy, url } = await twoEngines()
    const before = await playlistOf(url)
    playing(engines).die('breaks-off')
    const after = await playlistOf(url)
    expectContinued(before, after)
    expect((await fetchText(after.segments[0] ?? '')).status).toBe(200)
    expect(proxy.figures).toEqual({ rescued: 1, cutOff: 0, tooSlow: 0 })
    await eventually(() => expect(fake.counters).toMatchObject({ startsApplied: 2, endsApplied: 1 }))
    expect(client.metrics().streams).toMatchObject({ live: 1, viewers: 1 })
  })

  it('is replaced once for all its viewers, who request the playlist at the same time', async () => {
    const { engines, url } = await twoEngines()
    const before = await playlistOf(url)
    playing(engines).die('breaks-off')
    const playlists = await Promise.all(Array.from({ length: 10 }, () => playlistOf(url)))
    for (const after of playlists) expectContinued(before, { ...after, ...(playlists[0] ?? after) })
    expect(engines.map(({ opened }) => opened)).toEqual([1, 1])
    expect(engines.map(({ sessions }) => sessions.size).sort()).toEqual([0, 1])
  })

  it('keeps the numbers of discontinuities and segments growing when the window moves on', async () => {
    const { engines, url } = await twoEngines()
    const before = await playlistOf(url)
    playing(engines).die('breaks-off')
    const after = await playlistOf(url)
    const next = before.sequence + before.segments.length
    const two = await playlistOf(url)
    expect([after.sequence, two.sequence]).toEqual([next, next + 1])
    expect(two).toMatchObject({ breaks: [], discontinuitySequence: after.discontinuitySequence + 1 })
    expect(two.segments.slice(0, 2)).toEqual(after.segments.slice(1))
  })

  it('leaves no segment of the old session', async () => {
    const { engines, url } = await twoEngines()
    const before = await playlistOf(url)
    playing(engines).die('breaks-off')
    await playlistOf(url)
    expect((await fetchText(before.segments[0] ?? '')).status).toBe(404)
  })

  it('is replaced if it still answers, but adds no segment for the time limit', async () => {
    const { engines, url } = await twoEngines({ proxy: { idleTimeoutMs: 1 } })
    const before = await playlistOf(url)
    const frozen = playing(engines)
    frozen.hls.isFrozen = true
    await eventually(async () => expect((await playlistOf(url)).breaks).toHaveLength(1))
    expect(playing(engines)).not.toBe(frozen)
    expect((await playlistOf(url)).sequence).toBeGreaterThan(before.sequence)
  })

  it('is not replaced as long as it adds segments, however long it plays', async () => {
    const { engines, url } = await twoEngines({ proxy: { idleTimeoutMs: 1_000 } })
    let now = performance.now()
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    await playlistOf(url)
    const { hls } = playing(engines)
    for (const isFrozen of [true, false, true, false, true]) {
      hls.isFrozen = isFrozen
      await playlistOf(url)
      now += 900
    }
    expect(engines.reduce((sum, { opened }) => sum + opened, 0)).toBe(1)
  })

  it('leads to status 502 if no other one has room, and to a session again when one has', async () => {
    const { engines, url } = await stage()
    const before = await playlistOf(url)
    playing(engines).misbehaviour = 'errors'
    engines[0]?.sessions.clear()
    await expect(playlistOf(url)).rejects.toThrow(/status 50[23]/)
    for (const engine of engines) engine.misbehaviour = undefined
    await eventually(async () => expectContinued(before, await playlistOf(url)))
  })
})

describe('a stream of HLS that is lost', () => {
  it('ends its segments, so that no request to the engine is left', async () => {
    const { fake, engines, client, url } = await twoEngines()
    const { segments } = await playlistOf(url)
    const engine = playing(engines)
    engine.hls.isHeld = true
    const reading = await stoppedRequest(segments[0] ?? '')
    fake.restart()
    await client.reconcile()
    await expect(textOf(reading)).rejects.toThrow('aborted')
    await eventually(() => expect(engine.hls.heldCount).toBe(0))
  })

  it.each(GENERATIONS)('continues on a new engine after a restart of %s', async (generation) => {
    const { fake, engines, client, url } = await twoEngines({ fake: { generation } })
    const before = await playlistOf(url)
    fake.restart()
    expect((await client.reconcile()).lost).toHaveLength(1)
    expectContinued(before, await playlistOf(url))
    await eventually(() => expect(fake.liveStreamIds()).toHaveLength(1))
    expect(engines.reduce((sum, { sessions }) => sum + sessions.size, 0)).toBe(1)
    expect(fake.counters.innocentsEnded).toBe(0)
  })
})
