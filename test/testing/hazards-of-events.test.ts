import { describe, expect, it } from 'vitest'
import { GENERATIONS } from '../../src/testing/index.ts'
import { Calls } from './calls.ts'

const PYTHON = ['2025-10', '2026-04'] as const

describe.each(PYTHON)('%s, H1: an end of an unknown stream ends another stream', (generation) => {
  it('an end with an unknown stream and a known engine ends the newest live stream of that engine', async () => {
    const calls = new Calls(generation)
    const [a, b] = [calls.engine(0), calls.engine(1)]
    await calls.start('a1', a)
    await calls.start('a2', a)
    await calls.start('b1', b)
    const { body } = await calls.endRaw({ stream_id: 'ghost', container_id: a })
    expect(body).toMatchObject({ updated: true, stream: { id: 'a2' } })
    expect(await calls.liveIds()).toEqual(['a1', 'b1'])
    expect(calls.fake.counters).toMatchObject({ innocentsEnded: 1, endsApplied: 0 })
  })

  it.each([{}, { stream_id: '' }, { stream_id: null, container_id: null }, { stream_id: 'ghost' }])(
    'an end without a known stream and without an engine ends the newest live stream of all: %o',
    async (body) => {
      const calls = new Calls(generation)
      await calls.start('a1', calls.engine(0))
      await calls.start('b1', calls.engine(1))
      expect((await calls.endRaw(body)).body).toMatchObject({ updated: true, stream: { id: 'b1' } })
      expect(calls.fake.liveStreamIds()).toEqual(['a1'])
    },
  )

  it('an end with an unknown engine ends no other stream, and still ends a known stream', async () => {
    const calls = new Calls(generation)
    await calls.start('a1', calls.engine(0))
    expect((await calls.end('ghost')).body).toEqual({ updated: false, stream: null })
    expect((await calls.end('a1')).body).toMatchObject({ updated: true, stream: { id: 'a1', status: 'ended' } })
    expect(calls.fake.counters).toMatchObject({ innocentsEnded: 0, endsApplied: 1, endsMissed: 1 })
  })

  it('with autoDelete such an end also removes the engine of the other stream, and a new engine starts later', async () => {
    const calls = new Calls(generation, { engines: 2, autoDelete: true })
    const engine = calls.engine(0)
    await calls.start('other', engine)
    await calls.endRaw({ stream_id: 'ghost' })
    expect(calls.fake.engines.map(({ containerId }) => containerId)).not.toContain(engine)
    await calls.clock.advance(60_000)
    expect(calls.fake.engines).toHaveLength(2)
  })
})

describe('H1: a repeated or unknown end', () => {
  it('ends another stream on 2026-04, which forgets an ended stream at once', async () => {
    const calls = new Calls('2026-04')
    await calls.start('mine', calls.engine(0))
    await calls.start('other', calls.engine(1))
    await calls.endRaw({ stream_id: 'mine' })
    expect((await calls.endRaw({ stream_id: 'mine' })).body).toMatchObject({ stream: { id: 'other' } })
    expect(calls.fake.counters.innocentsEnded).toBe(1)
  })

  it('only moves ended_at on 2025-10', async () => {
    const calls = new Calls('2025-10')
    await calls.start('mine', calls.engine(0))
    await calls.start('other', calls.engine(1))
    await calls.endRaw({ stream_id: 'mine' })
    const before = (await calls.streams('?status=ended'))[0]?.['ended_at']
    await calls.clock.advance(1_000)
    await calls.endRaw({ stream_id: 'mine' })
    expect((await calls.streams('?status=ended'))[0]?.['ended_at']).not.toBe(before)
    expect(calls.fake.liveStreamIds()).toEqual(['other'])
    expect(calls.fake.counters).toMatchObject({ innocentsEnded: 0, endsApplied: 1, repeatedEnds: 1 })
  })

  it('ends no other stream on v1, and gets the same response', async () => {
    const calls = new Calls('v1')
    await calls.start('other', calls.engine(0))
    expect((await calls.end('ghost')).body).toEqual({ status: 'ended' })
    expect((await calls.endRaw({ stream_id: 'ghost', container_id: calls.engine(0) })).body).toEqual({ status: 'ended' })
    expect(calls.fake.liveStreamIds()).toEqual(['other'])
    expect(calls.fake.counters).toMatchObject({ innocentsEnded: 0, endsMissed: 2 })
  })
})

describe.each(GENERATIONS)('%s', (generation) => {
  it('H2: an end that arrives before its start leaves the stream live for ever', async () => {
    const calls = new Calls(generation)
    await calls.end('late')
    await calls.start('late', calls.engine(0))
    await calls.clock.advance(3_600_000)
    expect(await calls.liveIds()).toEqual(['late'])
  })

  it('H5: a repeated start overwrites the stream', async () => {
    const calls = new Calls(generation)
    await calls.start('again', calls.engine(0))
    const first = (await calls.streams())[0]?.['started_at']
    await calls.clock.advance(1_000)
    await calls.start('again', calls.engine(1))
    const [stream] = await calls.streams()
    expect(stream?.['started_at']).not.toBe(first)
    expect(stream?.['container_id']).toBe(calls.engine(1))
    expect(calls.fake.counters).toMatchObject({ startsApplied: 2, repeatedStarts: 1 })
  })

  const effect = generation === '2026-04' ? 'ends all streams of the same content' : 'ends no other stream of the same content'

  it(`H6: ending one stream ${effect}`, async () => {
    const calls = new Calls(generation)
    await calls.start('one', calls.engine(0), { key: 'same' })
    await calls.start('two', calls.engine(1), { key: 'same' })
    await calls.start('other', calls.engine(1))
    await calls.end('one')
    expect(await calls.liveIds()).toEqual(generation === '2026-04' ? ['other'] : ['other', 'two'])
    expect(calls.fake.counters.namesakesEnded).toBe(generation === '2026-04' ? 1 : 0)
    if (generation !== '2026-04') return
    expect(calls.fake.log.at(-1)).toMatchObject({ kind: 'ended', streamId: 'two', requestedId: 'one' })
  })

  it('H7: a start overwrites the address of its engine and adds its labels, except on v1', async () => {
    const calls = new Calls(generation, { engines: 1 })
    const containerId = calls.engine(0)
    await calls.start('s', containerId, { host: 'rewritten.test', port: 7 })
    const [engine] = await calls.engines()
    const isGo = generation === 'v1'
    expect(engine).toMatchObject(isGo ? { host: 'gluetun', port: 19_000 } : { host: 'rewritten.test', port: 7, labels: { stream_id: 's' } })
  })

  it('H8: a start on an unknown engine adds this engine to the list, except on v1', async () => {
    const calls = new Calls(generation, { engines: 1 })
    await calls.start('s', 'made-up', { host: '10.9.9.9', port: 6_878 })
    const ids = (await calls.engines()).map((engine) => engine['container_id'])
    expect(ids.includes('made-up')).toBe(generation !== 'v1')
    expect(calls.fake.engines).toHaveLength(1)
    expect(calls.fake.counters.enginesInvented).toBe(generation === 'v1' ? 0 : 1)
    await calls.clock.advance(10_000)
    // 2025-10 removes the engine within 10 s and ends its stream. The other generations keep both.
    expect((await calls.engines()).length).toBe(generation === '2026-04' ? 2 : 1)
    expect(await calls.liveIds()).toEqual(generation === '2025-10' ? [] : ['s'])
  })
})

describe('H3: the end of a stream whose start was rejected', () => {
  it('ends another stream on 2025-10, which rejects a start with an empty stat_url', async () => {
    const calls = new Calls('2025-10')
    await calls.start('other', calls.engine(0))
    const refused = await calls.send('POST', '/events/stream_started', {
      container_id: calls.engine(0),
      engine: { host: 'gluetun', port: 19_000 },
      stream: { key_type: 'infohash', key: 'k' },
      session: { playback_session_id: 'p', stat_url: '', command_url: 'http://e/cmd', is_live: 1 },
      labels: { stream_id: 'failed' },
    })
    expect(refused).toMatchObject({ status: 422, body: { detail: [{ type: 'url_parsing', loc: ['body', 'session', 'stat_url'] }] } })
    await calls.endRaw({ stream_id: 'failed', container_id: calls.engine(0) })
    expect(calls.fake.counters).toMatchObject({ startsApplied: 1, innocentsEnded: 1 })
  })
})
