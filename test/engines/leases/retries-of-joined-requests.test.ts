import type { Cache } from 'acestream-orchestrator-client'
import Keyv from 'keyv'
import { describe, expect, it } from 'vitest'
import { during, failureOf, setup } from '../../support/setup.ts'

const asyncCache = (): Cache => {
  const held = new Map<string, unknown>()
  return { get: async (key) => held.get(key), set: async (key, value) => held.set(key, value), delete: async (key) => held.delete(key) }
}

describe.each([
  ['an asynchronous cache', asyncCache],
  ['Keyv as its cache', () => new Keyv()],
])('with %s, a caller that waits', (_, cache) => {
  it.each([
    ['after', 0, 30_000],
    ['before', 30_000, 0],
  ])(
    'is served after two failed list requests, though it comes %s a caller with waitMs 0, which is rejected',
    async (_order, firstMs, secondMs) => {
      const { client, fake, clock } = setup({ engines: 2 }, { cache: cache(), dialect: 'unversioned', random: () => 0.5 })
      fake.inject({ kind: 'status', status: 503, route: 'GET /engines', times: 2 })
      const calls = [firstMs, secondMs].map((waitMs) => client.acquireEngine({ waitMs }))
      const [nonWaiting, waiting] = firstMs === 0 ? calls : calls.toReversed()
      expect(await failureOf(nonWaiting ?? Promise.resolve())).toMatchObject({ status: 503 })
      expect((await during(clock, waiting ?? Promise.reject(new Error('no caller')))).isFallback).toBe(false)
    },
  )
})

it('a health check of the host is retried, though it joins a periodic one, which is not retried', async () => {
  const { client, fake, clock } = setup({ latencyMs: 100 }, { dialect: 'unversioned', healthIntervalMs: 30_000, random: () => 0.5 })
  fake.inject({ kind: 'status', status: 503, route: 'GET /orchestrator/status', times: 2 })
  await during(clock, client.listEngines())
  await clock.advance(30_050 - 100)
  expect(fake.counters.requests.byRoute['GET /orchestrator/status']).toBe(1)
  expect((await during(clock, client.checkHealth())).status).toBe('healthy')
})
