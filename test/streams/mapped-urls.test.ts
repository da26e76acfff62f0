import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { playback, setup } from '../support/setup.ts'

const LISTED = { host: 'gluetun', port: 19_000 }
const MAPPED = { host: '127.0.0.1', port: 29_000 }
const KEY = 'b'.repeat(40)

/** A start whose engine answered with these URLs. */
function startWith(statUrl: string, commandUrl = statUrl) {
  const { session, ...start } = playback(KEY)
  return { ...start, session: { ...session, statUrl, commandUrl } }
}

describe.each(GENERATIONS)('the session URLs that the orchestrator gets on %s', (generation) => {
  const world = (listed = LISTED, mapped = MAPPED) =>
    setup({ generation, engines: [listed] }, { mapEngine: () => mapped, circuitBreaker: false })

  it('have the listed address of the engine if the proxy reaches it at a mapped address (H7)', async () => {
    const { client } = world()
    const lease = await client.acquireEngine()
    await lease.startStream(startWith('http://127.0.0.1:29000/ace/stat/x?y=1#z', 'http://u:p@127.0.0.1:29000/ace/cmd/x'))
    expect((await client.listStreams())[0]).toMatchObject({
      statUrl: 'http://gluetun:19000/ace/stat/x?y=1#z',
      commandUrl: 'http://u:p@gluetun:19000/ace/cmd/x',
    })
  })

  it('are not changed if their host or port is not that of the mapped address', async () => {
    const { client } = world()
    const lease = await client.acquireEngine()
    const urls = ['http://127.0.0.1:29001/127.0.0.1:29000', 'http://127.0.0.1.test:29000/'] as const
    await lease.startStream(startWith(...urls))
    expect((await client.listStreams())[0]).toMatchObject({ statUrl: urls[0], commandUrl: urls[1] })
  })

  it.each([
    ['a default port', { host: 'Proxy.test', port: 80 }, LISTED, 'http://proxy.test/stat', 'http://gluetun:19000/stat'],
    ['a default port of https', { host: 'proxy.test', port: 443 }, LISTED, 'https://proxy.test/?x', 'https://gluetun:19000/?x'],
    ['an IPv6 address without brackets', { host: '::1', port: 6878 }, LISTED, 'http://[0:0::1]:6878/s', 'http://gluetun:19000/s'],
    ['an IPv6 address in brackets', { host: '[::1]', port: 6878 }, LISTED, 'http://[::1]:6878/s', 'http://gluetun:19000/s'],
    ['an engine listed by IPv6', MAPPED, { host: 'fd00::2', port: 6878 }, 'http://127.0.0.1:29000/s', 'http://[fd00::2]:6878/s'],
    ['a URL with backslashes', MAPPED, LISTED, 'http:\\\\127.0.0.1:29000\\s', 'http://gluetun:19000/s'],
  ])('have the listed address for %s', async (_, mapped, listed, given, sent) => {
    const { client } = world(listed, mapped)
    const lease = await client.acquireEngine()
    await lease.startStream(startWith(given))
    expect((await client.listStreams())[0]).toMatchObject({ statUrl: sent, commandUrl: sent })
  })

  it('have the listed address if streamStarted() names the engine by its mapped address, with or without its id', async () => {
    const { client, fake } = world()
    const { containerId = '' } = fake.engines[0] ?? {}
    await client.streamStarted({ ...startWith('http://127.0.0.1:29000/s'), engine: MAPPED })
    await client.streamStarted({ ...startWith('http://127.0.0.1:29000/t'), streamId: 'other', engine: { ...MAPPED, containerId } })
    expect((await client.listStreams()).map(({ statUrl }) => statUrl).sort()).toEqual(['http://gluetun:19000/s', 'http://gluetun:19000/t'])
  })

  it('have the listed address if the engine list fails while streamStarted() is called and works later', async () => {
    const { client, fake, clock } = world()
    await client.listStreams()
    const fault = fake.inject({ kind: 'status', status: 500, route: 'GET /engines', times: Number.POSITIVE_INFINITY })
    const stream = await client.streamStarted({ ...startWith('http://127.0.0.1:29000/s'), engine: MAPPED })
    expect(fake.streams).toEqual([])
    fault.remove()
    await clock.advance(30_000)
    expect(stream.state).toBe('live')
    expect((await client.listStreams())[0]).toMatchObject({ statUrl: 'http://gluetun:19000/s', commandUrl: 'http://gluetun:19000/s' })
  })

  it('[I1] an engine that is listed as [::1] and named as ::1 is one engine, and keeps its listed address', async () => {
    const { client, fake } = setup({ generation, engines: [{ host: '[::1]', port: 6_878 }] })
    const stream = await client.streamStarted({ ...playback(), engine: { host: '::1', port: 6_878 } })
    expect(stream).toMatchObject({ state: 'live', engine: { containerId: fake.engines[0]?.containerId } })
    expect(fake.engines).toMatchObject([{ host: '[::1]', port: 6_878 }])
    expect(fake.counters.enginesInvented).toBe(0)
  })
})
