import { describe, expect, it } from 'vitest'
import { LATE_MS } from '../../examples/demo/fake-engine.ts'
import type { ProxyOptions } from '../../examples/proxy/server.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { answerTo, get } from './player.ts'
import { eventually, expectFurtherBytes, infohash, startEngine, startProxy, view } from './stage.ts'

async function single(options: Partial<ProxyOptions> = {}) {
  const engine = await startEngine()
  const { proxy, url } = await startProxy({ source: singleEngine(engine), lingerMs: 0, ...options })
  return { engine, proxy, url }
}

describe('without an orchestrator', () => {
  it('viewers of one content share a session, which ends with the last of them', async () => {
    const { engine, url } = await single()
    const [first, second] = await Promise.all([view(url), view(url)])
    const third = await view(url)
    expect([engine.opened, engine.sessions.size]).toEqual([1, 1])
    await first.leave()
    await second.leave()
    await expectFurtherBytes(third)
    await third.leave()
    await eventually(() => expect([engine.sessions.size, engine.stopCommands]).toEqual([0, 1]))
  })

  it('viewers of one content with other engine parameters have another session', async () => {
    const { engine, url } = await single()
    await view(url)
    await answerTo(get(`${url}/infohash/${infohash()}?transcode_audio=1`))
    expect(engine.opened).toBe(2)
  })

  it('a session lingers, so that a viewer who comes back finds it, and ends after lingerMs', async () => {
    const timers = holdTimers()
    const { engine, url } = await single({ lingerMs: HELD_MS })
    await (await view(url)).leave()
    await eventually(() => expect(timers.armed).toBe(1))
    const again = await view(url)
    timers.fire()
    await expectFurtherBytes(again)
    expect(engine.opened).toBe(1)
    await again.leave()
    await eventually(() => expect(timers.armed).toBe(2))
    timers.fire()
    await eventually(() => expect([engine.sessions.size, engine.stopCommands]).toEqual([0, 1]))
  })

  it('viewers whose session breaks off continue together on another one', async () => {
    const { engine, proxy, url } = await single()
    const viewers = [await view(url), await view(url)]
    engine.breakOff()
    await eventually(() => expect(proxy.figures).toEqual({ rescued: 2, cutOff: 0, tooSlow: 0 }))
    for (const viewer of viewers) await expectFurtherBytes(viewer)
    expect([engine.opened, engine.sessions.size]).toEqual([2, 1])
  })

  it('a viewer who leaves while the session opens does not disturb another one', async () => {
    const { engine, proxy, url } = await single()
    engine.misbehaviour = 'answers-late'
    const answers = holdTimers(LATE_MS)
    const leaving = get(`${url}/infohash/${infohash()}`)
    await eventually(() => expect(engine.requestCount).toBe(1))
    const staying = get(`${url}/infohash/${infohash()}`)
    await eventually(() => expect(proxy.viewers).toBe(2))
    leaving.destroy()
    await eventually(() => expect(proxy.viewers).toBe(1))
    answers.fire()
    expect((await answerTo(staying)).statusCode).toBe(200)
    expect(engine.opened).toBe(1)
  })

  it('a session that opens after all its viewers have left is stopped', async () => {
    const { engine, proxy, url } = await single()
    engine.misbehaviour = 'answers-late'
    const answers = holdTimers(LATE_MS)
    const leaving = get(`${url}/infohash/${infohash()}`)
    await eventually(() => expect(engine.requestCount).toBe(1))
    leaving.destroy()
    await eventually(() => expect(proxy.viewers).toBe(0))
    engine.misbehaviour = undefined
    expect((await view(url)).state).toBe('watching')
    answers.fire()
    await eventually(() => expect([engine.opened, engine.stopCommands, engine.sessions.size]).toEqual([2, 1, 1]))
  })

  it('a session that opens in the moment in which its viewer leaves is stopped', async () => {
    const source = singleEngine({ host: '127.0.0.1', port: 1 })
    const session = { playbackSessionId: 's', statUrl: 'http://a/', commandUrl: 'http://a/', isLive: true }
    const opened = Promise.withResolvers<{ session: typeof session; playback: string }>()
    const closed = Promise.withResolvers<string>()
    const leaving = new AbortController()
    const joining = source.joinStream({
      keyType: 'infohash',
      key: 'a',
      open: () => opened.promise,
      close: async (playback) => closed.resolve(playback),
      signal: leaving.signal,
    })
    opened.resolve({ session, playback: 'video' })
    leaving.abort(new Error('left'))
    await expect(joining).rejects.toThrow('left')
    expect(await closed.promise).toBe('video')
    expect(source.metrics()).toEqual({ streams: { live: 0 } })
  })

  it('a shutdown stops all sessions, also one that lingers', async () => {
    const { engine, proxy, url } = await single({ lingerMs: HELD_MS })
    await (await view(url, 1)).leave()
    const viewer = await view(url, 2)
    viewer.isOver = true
    await proxy.close()
    expect([engine.opened, engine.stopCommands, engine.sessions.size]).toEqual([2, 2, 0])
  })
})
