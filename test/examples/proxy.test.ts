import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { LATE_MS } from '../../examples/demo/fake-engine.ts'
import { Viewer } from '../../examples/demo/viewer.ts'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { eventually, infohash, stage, view } from './stage.ts'

describe('the reference proxy', () => {
  it('streams the video of the engine unchanged, with its content type', async () => {
    const { url } = await stage()
    const request = http.get(`${url}/ace/getstream?infohash=${infohash()}`, { agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    let bytes = Buffer.alloc(0)
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.length >= 20_000) break
    }
    expect(response.headers['content-type']).toBe('video/mp2t')
    const syncBytes = Array.from({ length: 100 }, (_, packet) => bytes[packet * 188])
    expect(new Set(syncBytes)).toEqual(new Set([0x47]))
  })

  it('announces the stream while it plays, with the session of the engine', async () => {
    const { fake, engines, url } = await stage()
    await view(url)
    const [sessionId] = engines[0]?.sessions ?? []
    expect(fake.streams).toMatchObject([{ keyType: 'infohash', key: infohash(), playbackSessionId: sessionId }])
  })

  it('announces a content that was requested by id as a content id', async () => {
    const { fake, url } = await stage()
    const request = http.get(`${url}/ace/getstream/?id=some-content`, { agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    await once(response, 'data')
    expect(fake.streams).toMatchObject([{ keyType: 'content_id', key: 'some-content' }])
    response.destroy()
  })

  it('ends the stream and the session when the viewer leaves', async () => {
    const { fake, engines, proxy, url } = await stage()
    const viewer = await view(url)
    await viewer.leave()
    await eventually(() => expect(fake.counters.endsApplied).toBe(1))
    expect(fake.liveStreamIds()).toEqual([])
    expect([proxy.viewers, proxy.figures]).toEqual([0, { rescued: 0, cutOff: 0, tooSlow: 0 }])
    expect(engines[0]).toMatchObject({ stopCommands: 1, sessions: new Set() })
  })

  it('stops the session and only then frees the slot if the viewer leaves while the engine opens the session', async () => {
    const { fake, engines, client, url } = await stage()
    const [engine] = engines
    if (engine === undefined) throw new Error('no engine')
    engine.misbehaviour = 'answers-late'
    const answers = holdTimers(LATE_MS)
    const request = http.get(`${url}/ace/getstream?infohash=${infohash(1)}`, { agent: false }).on('error', () => undefined)
    await eventually(() => expect(engine.requestCount).toBe(1))
    request.destroy()
    engine.misbehaviour = undefined
    // Viewers do not wait for a slot here, so this one is refused: the slot is still taken.
    expect((await view(url, 2)).state).toBe('refused')
    answers.fire()
    await eventually(() => expect(client.metrics().leases.active).toBe(0))
    expect(engine).toMatchObject({ opened: 1, stopCommands: 1, sessions: new Set() })
    expect((await view(url, 3)).state).toBe('watching')
    expect(engine.peak).toBe(1)
    expect(fake.counters.startsApplied).toBe(1)
  })

  it('gives the reason why a stream ended: completed, or client_disconnected', async () => {
    const { client, engines, url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    const reasons: unknown[] = []
    client.on('stream:ended', ({ reason }) => reasons.push(reason))
    const viewer = await view(url, 1)
    engines[0]?.finish()
    await viewer.gone
    await eventually(() => expect(reasons).toEqual(['completed']))
    await (await view(url, 2)).leave()
    await eventually(() => expect(reasons).toEqual(['completed', 'client_disconnected']))
  })

  it('ends the stream and cuts the viewer off when the engine closes the connection', async () => {
    const { fake, engines, url } = await stage()
    const viewer = await view(url)
    engines[0]?.breakOff()
    await viewer.gone
    expect(viewer.state).toBe('failed')
    await eventually(() => expect(fake.counters.endsApplied).toBe(1))
  })

  it('ends the stream when the engine sends nothing for idleTimeoutMs', async () => {
    const silences = holdTimers()
    const { fake, engines, url } = await stage({ proxy: { idleTimeoutMs: HELD_MS } })
    const viewer = await view(url)
    engines[0]?.fallSilent()
    await eventually(() => {
      silences.fire()
      expect(viewer.state).toBe('failed')
    })
    await eventually(() => expect(fake.counters.endsApplied).toBe(1))
    expect(engines[0]?.sessions.size).toBe(0)
  })

  it('serves two of ten concurrent viewers on one engine with two slots, and refuses the others with a Retry-After', async () => {
    const { fake, engines, url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    const viewers = await Promise.all(Array.from({ length: 10 }, (_, number) => view(url, number)))
    expect(viewers.map(({ state }) => state).sort()).toEqual([...Array(8).fill('refused'), ...Array(2).fill('watching')])
    expect(Object.values(fake.counters.peakLoad)).toEqual([2])
    expect(engines[0]?.peak).toBe(2)
  })

  it('gives a waiting viewer the slot of one who leaves, after the engine has stopped the old session', async () => {
    const { fake, engines, client, url } = await stage({ proxy: { capacityTimeoutMs: 600_000 } })
    fake.setProvisioning({ refuse: 'vpn_disconnected', etaSeconds: 1 })
    const first = await view(url, 1)
    const second = new Viewer(url, infohash(2))
    await eventually(() => expect(client.metrics().leases.waiting).toBe(1))
    await first.leave()
    await second.answered
    expect(second.state).toBe('watching')
    expect(engines[0]?.peak).toBe(1)
    await second.leave()
  })

  it('plays while the orchestrator does not respond to the start, and still ends the stream', async () => {
    const timeOuts = holdTimers()
    const { fake, url } = await stage({ client: { requestTimeoutMs: HELD_MS } })
    const lost = fake.inject({ kind: 'lost-answer', route: 'POST /events/stream_started' })
    const viewing = view(url)
    await eventually(() => expect(lost.hits).toBe(1))
    timeOuts.fire()
    const viewer = await viewing
    expect(viewer.state).toBe('watching')
    await viewer.leave()
    await eventually(() => expect(fake.liveStreamIds()).toEqual([]))
  })

  it('stops the session when the orchestrator rejects the start, and sends no end', async () => {
    const { fake, engines, url } = await stage()
    fake.inject({ kind: 'status', status: 422, route: 'POST /events/stream_started' })
    const answer = await fetch(`${url}/ace/getstream?infohash=${infohash()}`)
    expect(answer.status).toBe(502)
    expect(engines[0]).toMatchObject({ opened: 1, stopCommands: 1, sessions: new Set() })
    expect(fake.counters.requests.byRoute['POST /events/stream_ended']).toBeUndefined()
  })
})
