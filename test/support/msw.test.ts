import { HttpResponse, http } from 'msw'
import { expect, test } from 'vitest'
import { RequestTimeoutError } from '../../src/errors.ts'
import { waitOneTurn } from '../../src/runtime/clock.ts'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import { held, mswServer, WireClock } from './msw.ts'
import { failureOf } from './setup.ts'

const server = mswServer()
const BASE = 'http://orchestrator.test'
const get = { method: 'GET' as const, url: new URL('/x', BASE), headers: {}, timeoutMs: 1 }

test('no virtual time passes while a request is in flight, even if that takes 50 turns of the event loop', async () => {
  const answer = async () => {
    for (let turns = 0; turns < 50; turns += 1) await waitOneTurn()
    return HttpResponse.json([])
  }
  server.use(http.get(`${BASE}/x`, answer))
  const clock = new WireClock()
  const request = new KyTransport({ clock }).request(get)
  const passed = clock.advance(60_000)
  expect(await request).toMatchObject({ status: 200, body: '[]' })
  await passed
})

test('virtual time passes while a handler holds the request', async () => {
  server.use(http.get(`${BASE}/x`, () => held(new Promise<Response>(() => {}))))
  const clock = new WireClock()
  const failure = failureOf(new KyTransport({ clock }).request(get))
  await clock.advance(1)
  expect(await failure).toBeInstanceOf(RequestTimeoutError)
})
