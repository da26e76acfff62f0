import { AuthenticationError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { failureOf, playback, setup } from '../../support/setup.ts'

const fallbackEngine = { host: 'fallback', port: 6878 }
const outage = { kind: 'refused', times: Number.POSITIVE_INFINITY } as const

describe('the fallback engine', () => {
  it('is not leased until the last list is older than cacheTtlMs plus staleIfErrorMs', async () => {
    const { client, fake, clock } = setup(
      { engines: 1 },
      { fallbackEngine, maxStreamsPerEngine: 5, cacheTtlMs: 2_000, staleIfErrorMs: 30_000 },
    )
    await client.listEngines()
    fake.inject(outage)
    await clock.advance(31_999)
    expect((await client.acquireEngine()).isFallback).toBe(false)
    await clock.advance(1)
    expect((await client.acquireEngine()).isFallback).toBe(true)
  })

  it('is not leased when the API key is wrong: that is no outage, and the fallback would hide it', async () => {
    const { client, fake } = setup({ engines: 1 }, { fallbackEngine, dialect: 'unversioned' })
    fake.inject({ kind: 'status', status: 401, route: 'GET /engines' })
    expect(await failureOf(client.acquireEngine())).toBeInstanceOf(AuthenticationError)
  })

  it('is not leased to a caller that has aborted', async () => {
    const { client, fake, clock } = setup({ engines: 1 }, { fallbackEngine })
    fake.inject({ kind: 'lost-request', times: Number.POSITIVE_INFINITY })
    const abort = new AbortController()
    const acquiring = failureOf(client.acquireEngine({ signal: abort.signal }))
    await clock.advance(100)
    abort.abort('viewer left')
    expect(await acquiring).toBe('viewer left')
  })

  it('serves any number of viewers, each with a lease of its own', async () => {
    const { client, fake, clock } = setup({}, { fallbackEngine, leaseTtlMs: 20_000 })
    fake.inject(outage)
    const leases = await Promise.all(Array.from({ length: 10 }, () => client.acquireEngine()))
    expect(new Set(leases.map(({ id }) => id)).size).toBe(10)
    for (const lease of leases) {
      expect(lease.engine).toMatchObject({ ...fallbackEngine, containerId: '', healthStatus: 'unknown', streamIds: [] })
      expect(lease.expiresAt.getTime()).toBe(clock.now() + 20_000)
      await lease.fail(new Error('hangs'))
      await lease.release()
    }
  })

  it('rejects a start with an invalid argument or an aborted signal', async () => {
    const { client, fake } = setup({}, { fallbackEngine })
    fake.inject(outage)
    const lease = await client.acquireEngine()
    expect(await failureOf(lease.startStream({ ...playback(), key: '' }))).toMatchObject({ code: 'INVALID_ARGUMENT', argument: 'key' })
    expect(await failureOf(lease.startStream(playback(), { signal: AbortSignal.abort('viewer left') }))).toBe('viewer left')
  })
})
