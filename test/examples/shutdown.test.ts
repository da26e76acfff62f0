import { describe, expect, it } from 'vitest'
import { type EngineSource, singleEngine } from '../../examples/proxy/engine-source.ts'
import { eventually, stage, startEngine, startProxy, view } from './stage.ts'

describe('a proxy that shuts down', () => {
  it('ends every stream, and leaves no stream on the orchestrator and no session on the engines', async () => {
    const { fake, engines, proxy, url } = await stage({ engineCount: 2, client: { maxStreamsPerEngine: 2 } })
    const viewers = await Promise.all([1, 2, 3, 4].map((number) => view(url, number)))
    for (const viewer of viewers) viewer.isOver = true
    const report = await proxy.close()
    await Promise.all(viewers.map(({ gone }) => gone))
    expect(report.undelivered).toEqual([])
    expect(fake.counters).toMatchObject({ startsApplied: 4, endsApplied: 4, innocentsEnded: 0 })
    expect(fake.liveStreamIds()).toEqual([])
    expect(engines.map(({ sessions }) => sessions.size)).toEqual([0, 0])
    await expect(fetch(url)).rejects.toThrow()
  })

  it('refuses a viewer who waits for an engine with status 503 and a Retry-After', async () => {
    const acquiring = Promise.withResolvers<void>()
    const never: EngineSource = {
      ...singleEngine({ host: '127.0.0.1', port: 1 }),
      acquireEngine: ({ signal } = {}) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
          acquiring.resolve()
        }),
    }
    const { proxy, url } = await startProxy({ source: never })
    const answer = fetch(`${url}/ace/getstream?id=a`)
    await acquiring.promise
    await proxy.close()
    expect((await answer).status).toBe(503)
    expect((await answer).headers.get('retry-after')).toBe('5')
  })
})

describe('a lost stream', () => {
  it('cuts its viewer off, so that the player retries', async () => {
    const engine = await startEngine()
    const lost = new AbortController()
    const single = singleEngine(engine)
    const reasons: (string | undefined)[] = []
    const source: EngineSource = {
      ...single,
      async acquireEngine(options) {
        const slot = await single.acquireEngine(options)
        const startStream: typeof slot.startStream = async (start) => {
          const stream = await slot.startStream(start)
          const end: typeof stream.end = (reason) => {
            if (reason !== undefined) reasons.push(reason)
            return stream.end(reason)
          }
          return { ...stream, end, lost: lost.signal }
        }
        return { ...slot, startStream }
      },
    }
    const { url } = await startProxy({ source })
    const viewer = await view(url)
    lost.abort()
    await viewer.gone
    await eventually(() => expect(reasons).toEqual(['engine_lost']))
    expect(engine.sessions.size).toBe(0)
  })
})
