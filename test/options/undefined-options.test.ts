import { CapacityError, OrchestratorClient, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'
import { CLIENT_OPTIONS, resolveOptions } from '../../src/options/resolve.ts'
import { playback, setup } from '../support/setup.ts'

it('every option that is undefined has its default', () => {
  const given = Object.fromEntries(Object.keys(CLIENT_OPTIONS).map((name) => [name, undefined]))
  const baseUrl = 'http://orchestrator.test'
  const inside = { retry: { attempts: undefined, baseDelayMs: undefined, maxDelayMs: undefined } }
  const breaker = { circuitBreaker: { failureThreshold: undefined, resetAfterMs: undefined } }
  const plain = (options: OrchestratorClientOptions) => JSON.stringify({ ...resolveOptions(options), proxyId: '' })
  expect(plain({ ...given, baseUrl })).toBe(plain({ baseUrl }))
  expect(plain({ baseUrl, ...inside, ...breaker })).toBe(plain({ baseUrl }))
})

it('an override that is undefined does not replace the value of the environment', async () => {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock })
  const env = { ACEXY_ORCH_URL: 'http://orchestrator.test', ACEXY_ORCH_APIKEY: fake.apiKey }
  const client = OrchestratorClient.fromEnv(env, { clock, transport: fake, baseUrl: undefined, apiKey: undefined })
  const lease = await client?.acquireEngine()
  await lease?.startStream(playback())
  expect(fake.liveStreamIds()).toHaveLength(1)
  await client?.close()
})

it('every argument of a call that is undefined has its default', async () => {
  const { client, fake } = setup()
  expect(await client.listEngines({ fresh: undefined, signal: undefined })).toHaveLength(3)
  const nothing = { waitMs: undefined, provision: undefined, exclude: undefined, content: undefined, signal: undefined }
  const lease = await client.acquireEngine(nothing)
  const start = playback()
  const session = { ...start.session, isLive: undefined }
  const stream = await lease.startStream({ ...start, session, streamId: undefined, labels: undefined }, { signal: undefined })
  expect(await client.listStreams({ containerId: undefined, status: undefined })).toMatchObject([{ id: stream.id, isLive: true }])
  const { host, port } = lease.engine
  const withoutId = { host, port, containerId: undefined }
  const second = await client.streamStarted({ ...playback('b'.repeat(40), 'session-2'), engine: withoutId })
  expect(second.engine.containerId).toBe(lease.engine.containerId)
  await client.provisionEngine({ labels: undefined, env: undefined })
  expect(fake.engines).toHaveLength(4)
  expect(await client.close({ timeoutMs: undefined })).toMatchObject({ undelivered: [] })
})

it('setProvisioning() of the fake keeps every setting for which it gets undefined', async () => {
  const { client, fake, clock } = setup({ engines: 1, provisionDelayMs: 500 })
  fake.setProvisioning({ delayMs: undefined, textErrors: undefined, runtimeDown: undefined, maxReplicas: undefined })
  const provisioning = client.provisionEngine()
  await clock.advance(400)
  expect(fake.engines).toHaveLength(1)
  await clock.advance(10_000)
  await provisioning
  expect(fake.engines).toHaveLength(2)
})

it('an error whose cause is passed as undefined has no property named cause', () => {
  const error = new CapacityError('full', { reason: 'full', shouldWait: true, canRetry: true, cause: undefined, isAdvised: undefined })
  expect('cause' in error).toBe(false)
  expect(error.isAdvised).toBe(true)
})
