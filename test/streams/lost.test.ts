import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { during, playback, setup } from '../support/setup.ts'

describe.each(GENERATIONS)('a stream that %s lost', (generation) => {
  it('has left when its host hears of it, and what comes of its end can be waited for', async () => {
    const { client, fake, clock } = setup({ generation, engines: 2 })
    const stream = await (await client.acquireEngine()).startStream(playback())
    const heard: unknown[] = []
    let ending: Promise<unknown> | undefined
    stream.lost.addEventListener('abort', () => {
      heard.push(stream.state, client.metrics().streams.live)
      ending = stream.end()
    })
    fake.restart()
    await during(clock, client.reconcile())
    expect(heard).toEqual(['lost', 0])
    expect(await ending).toMatchObject({ outcome: generation === 'v1' ? 'delivered' : 'unknown', attempts: 1 })
  })
})
