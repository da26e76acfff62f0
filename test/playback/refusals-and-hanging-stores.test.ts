import { describe, expect, it } from 'vitest'
import { laterStore } from '../support/later-store.ts'
import { world } from '../support/playback-world.ts'
import { failureOf } from '../support/setup.ts'

describe('openStream', () => {
  it('rejects at once with the reason of the signal, if the viewer aborts while the playback of a refused start is closed', async () => {
    const { clock, fake, host, open } = world({ engines: 1 })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started' })
    host.onClose = () => ({ delayMs: 3_000 })
    const leaving = new AbortController()
    let reason: unknown
    const opening = failureOf(open({ signal: leaving.signal })).then((error) => {
      reason = error
    })
    await clock.advance(1_000)
    leaving.abort('left')
    await clock.settle()
    expect(reason).toBe('left')
    await clock.advance(3_000)
    await opening
  })
})

describe('joinStream', () => {
  it('does not open a content again within a second after its start was refused, also for a caller that waits longer', async () => {
    const { clock, fake, host, join } = world({ engines: 1 })
    fake.inject({ kind: 'status', status: 422, body: '{"detail":[]}', route: 'POST /events/stream_started', times: 10 })
    const error = await failureOf(join({ waitMs: 1_000 }))
    expect(await failureOf(join({ waitMs: 2_000 }))).toBe(error)
    await clock.advance(100)
    expect(host.openCount).toBe(1)
  })

  it('rejects a caller whose waitMs is over while the store does not answer the release of the earlier stream', async () => {
    const store = laterStore(() => Promise.resolve())
    const { clock, host, join } = world({ engines: 2 }, { store })
    store.releaseStream = () => new Promise(() => {})
    const first = await join({ lingerMs: 0 })
    await first.leave()
    let isSettled = false
    const settle = (): void => {
      isSettled = true
    }
    void join({ waitMs: 1_000 }).then(settle, settle)
    await clock.advance(60_000)
    expect([isSettled, host.closes.get('session 1')]).toEqual([true, 1])
  })

  it('closes the playback although the store does not answer that the end is recorded', async () => {
    const store = laterStore(() => Promise.resolve())
    const { clock, host, join } = world({ engines: 2 }, { store })
    const first = await join({ lingerMs: 0 })
    store.append = () => new Promise(() => {})
    await first.leave()
    await clock.advance(60_000)
    expect(host.closes.get('session 1')).toBe(1)
  })
})
