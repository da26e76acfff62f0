import { Readable, Writable } from 'node:stream'
import { expect, it } from 'vitest'
import { watch } from '../../examples/quick-start/watch.ts'
import { failureOf, playback, setup } from '../support/setup.ts'

const { session } = playback()

it('the quick start serves a viewer, and starts and ends one stream', async () => {
  const { client, fake } = setup({ engines: 1 })
  const seen: string[] = []
  const response = new Writable({
    write(chunk, _, done) {
      seen.push(String(chunk))
      expect(fake.liveStreamIds()).toHaveLength(1)
      done()
    },
  })
  await watch(
    client,
    'a'.repeat(40),
    async () => ({ session, video: Readable.from(['some', 'video']) }),
    response,
    new AbortController().signal,
  )
  expect(seen.join('')).toBe('somevideo')
  expect(fake.counters).toMatchObject({ startsApplied: 1, endsApplied: 1 })
  expect(client.metrics()).toMatchObject({ leases: { active: 0 }, streams: { live: 0 } })
})

it('a playback that cannot be opened releases its slot and announces no stream', async () => {
  const { client, fake } = setup({ engines: 1 })
  const fails = async () => {
    throw new Error('engine hangs')
  }
  const response = new Writable({ write: (_chunk, _, done) => done() })
  expect(await failureOf(watch(client, 'a'.repeat(40), fails, response, new AbortController().signal))).toMatchObject({
    message: 'engine hangs',
  })
  expect(client.metrics().leases.active).toBe(0)
  expect(fake.counters.startsApplied).toBe(0)
})
