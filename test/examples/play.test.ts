import { describe, expect, it, onTestFinished } from 'vitest'
import type { EngineSource } from '../../examples/proxy/engine-source.ts'
import { MPEG_TS, playbackOf } from '../../examples/proxy/play.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { eventually, expectFurtherBytes, startEngine, startProxy, view } from './stage.ts'

const SILENT = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

describe('a stream of the proxy', () => {
  it('gives an engine the whole header time-out for the session and again for the first byte, and its slot waits for a late session', () => {
    const times = {
      scheme: 'http',
      headerTimeoutMs: 60_000,
      idleTimeoutMs: 60_000,
      stopTimeoutMs: 2_000,
      slowViewerTimeoutMs: 60_000,
      playlistAgeMs: 0,
      log: SILENT,
    } as const
    const { openTimeoutMs, playbackCloseTimeoutMs } = playbackOf({ keyType: 'infohash', key: 'a' }, times, MPEG_TS)
    expect(openTimeoutMs).toBeGreaterThan(120_000 + 2_000)
    expect(playbackCloseTimeoutMs).toBeGreaterThan(60_000 + 2_000)
  })

  it('continues on another engine as soon as the client reports it as lost, even if the engine still plays', async () => {
    const engine = await startEngine()
    const losses: AbortController[] = []
    const { proxy, url } = await startProxy({ source: sourceWith(engine, () => ({ lost: lostWith(losses) })) })
    const viewer = await view(url)
    losses[0]?.abort()
    await eventually(() => expect(proxy.figures).toEqual({ rescued: 1, cutOff: 0, tooSlow: 0 }))
    await expectFurtherBytes(viewer)
  })

  it('is joined again only after the client knows of the failure: before that a viewer would get the failed stream again', async () => {
    const engine = await startEngine()
    const known = Promise.withResolvers<void>()
    onTestFinished(() => known.resolve())
    let failures = 0
    let joins = 0
    const failing = sourceWith(engine, (stream) => ({
      fail: async (cause) => {
        failures += 1
        await known.promise
        return stream.fail(cause)
      },
    }))
    const joinStream: EngineSource['joinStream'] = (options) => {
      joins += 1
      return failing.joinStream(options)
    }
    const { proxy, url } = await startProxy({ source: { ...failing, joinStream } })
    const viewer = await view(url)
    engine.breakOff()
    await eventually(() => expect(failures).toBe(1))
    await new Promise((resolve) => setImmediate(resolve))
    expect(joins).toBe(1)
    known.resolve()
    await eventually(() => expect(proxy.figures).toEqual({ rescued: 1, cutOff: 0, tooSlow: 0 }))
    await expectFurtherBytes(viewer)
    expect(joins).toBe(2)
  })
})

type Stream = Awaited<ReturnType<EngineSource['joinStream']>>['stream']

/** A source with one engine, whose streams are changed. Each viewer has a stream of its own. */
function sourceWith(engine: { host: string; port: number }, change: (stream: Stream) => Partial<Stream>): EngineSource {
  const single = singleEngine(engine)
  let streams = 0
  return {
    ...single,
    async joinStream(options) {
      const viewer = await single.joinStream({ ...options, variant: `${++streams}` })
      return { ...viewer, stream: { ...viewer.stream, ...change(viewer.stream) } as typeof viewer.stream }
    },
  }
}

function lostWith(losses: AbortController[]): AbortSignal {
  const loss = new AbortController()
  losses.push(loss)
  return loss.signal
}
