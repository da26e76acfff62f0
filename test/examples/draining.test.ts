import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { HELD_MS, holdTimers } from '../support/held-timers.ts'
import { answerTo, get, watching } from './player.ts'
import { eventually, stage, view } from './stage.ts'

describe('a proxy that drains', () => {
  it('lets its viewers watch to the end, and then closes', async () => {
    const { fake, engines, proxy, url } = await stage()
    const { answer } = await watching(`${url}/ace/getstream`)
    const closing = proxy.close({ drainMs: HELD_MS })
    await once(answer, 'data')
    engines[0]?.finish()
    await once(answer.resume(), 'end')
    expect((await closing).undelivered).toEqual([])
    expect(answer.complete).toBe(true)
    expect(fake.liveStreamIds()).toEqual([])
  })

  it('refuses new viewers with status 503 and a Retry-After, and says that it is not ready but lives', async () => {
    const { engines, proxy, url } = await stage({ client: { maxStreamsPerEngine: 2 } })
    const viewer = await view(url)
    const closing = proxy.close({ drainMs: HELD_MS })
    const refused = await answerTo(get(`${url}/content_id/other`))
    expect([refused.statusCode, refused.headers['retry-after']]).toEqual([503, '5'])
    const readiness = await fetch(`${url}/readyz`)
    expect([readiness.status, await readiness.json()]).toMatchObject([503, { reason: 'proxy_closing' }])
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect(engines[0]?.requestCount).toBe(1)
    await viewer.leave()
    await closing
  })

  it('ends the viewers that are still there after drainMs', async () => {
    const timers = holdTimers()
    const { fake, proxy, url } = await stage()
    const viewer = await view(url)
    viewer.isOver = true
    const closing = proxy.close({ drainMs: HELD_MS })
    await eventually(() => expect(timers.armed).toBe(1))
    expect(viewer.state).toBe('watching')
    timers.fire()
    expect((await closing).undelivered).toEqual([])
    await viewer.gone
    expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
  })

  it('waits for nobody if nobody watches', async () => {
    const { proxy } = await stage()
    expect((await proxy.close({ drainMs: HELD_MS })).undelivered).toEqual([])
  })
})
