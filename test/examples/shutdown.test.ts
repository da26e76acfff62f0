import { describe, expect, it } from 'vitest'
import type { EngineSource } from '../../examples/proxy/engine-source.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { eventually, stage, startProxy, view } from './stage.ts'

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
    const joining = Promise.withResolvers<void>()
    const never: EngineSource = {
      ...singleEngine({ host: '127.0.0.1', port: 1 }),
      joinStream: ({ signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(signal.reason))
          joining.resolve()
        }),
    }
    const { proxy, url } = await startProxy({ source: never })
    const answer = fetch(`${url}/ace/getstream?id=a`)
    await joining.promise
    await proxy.close()
    expect((await answer).status).toBe(503)
    expect((await answer).headers.get('retry-after')).toBe('5')
  })

  it('ends a stream that still lingers', async () => {
    const { fake, engines, client, proxy, url } = await stage({ proxy: { lingerMs: 600_000 } })
    await (await view(url)).leave()
    await eventually(() => expect(client.metrics().streams.lingering).toBe(1))
    expect((await proxy.close()).undelivered).toEqual([])
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
    expect(engines[0]).toMatchObject({ stopCommands: 1, sessions: new Set() })
  })
})
