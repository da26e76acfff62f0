import { InvalidArgumentError, OrchestratorClient } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'

it('fromEnv() returns undefined if no URL is set', () => {
  expect(OrchestratorClient.fromEnv({})).toBeUndefined()
  expect(OrchestratorClient.fromEnv({ ACEXY_ORCH_URL: '  ', ACEXY_ORCH_APIKEY: 'key' })).toBeUndefined()
})

it('fromEnv() reads the variables of the Go proxy', async () => {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock, engines: 1, apiKey: 'from-env' })
  const env = {
    ACEXY_ORCH_URL: 'http://orchestrator:8000',
    ACEXY_ORCH_APIKEY: 'from-env',
    ACEXY_CONTAINER_ID: 'proxy-7',
    ACEXY_MAX_STREAMS_PER_ENGINE: '2',
  }
  const client = OrchestratorClient.fromEnv(env, { clock, transport: fake })
  const leases = [await client?.acquireEngine(), await client?.acquireEngine()]
  for (const lease of leases) expect(lease?.id).toMatch(/^proxy-7\//)
  expect(await client?.streamEnded('needs-the-key')).toMatchObject({ outcome: 'unknown' })
  await client?.close()
})

it('overrides win over the environment', () => {
  const wrong = { ACEXY_ORCH_URL: 'http://orchestrator:8000' }
  expect(() => OrchestratorClient.fromEnv(wrong, { baseUrl: 'ftp://x' })).toThrow(InvalidArgumentError)
  expect(OrchestratorClient.fromEnv({}, { baseUrl: 'http://orchestrator:8000' })).toBeInstanceOf(OrchestratorClient)
})

it.each(['0', '-1', '1.5', 'two', '1e3'])('a limit of %s is rejected with an error that names the environment variable', (limit) => {
  const env = { ACEXY_ORCH_URL: 'http://orchestrator:8000', ACEXY_MAX_STREAMS_PER_ENGINE: limit }
  expect(() => OrchestratorClient.fromEnv(env)).toThrow(expect.objectContaining({ argument: 'ACEXY_MAX_STREAMS_PER_ENGINE' }))
})

it.each([
  ['ACEXY_ORCH_URL', 'orchestrator:8000'],
  ['ACEXY_ORCH_APIKEY', 'a key'],
  ['ACEXY_CONTAINER_ID', 'x'.repeat(256)],
])('a wrong value of %s is rejected with an error that names the variable, unless an override replaces it', (variable, value) => {
  const env = { ACEXY_ORCH_URL: 'http://orchestrator:8000', [variable]: value }
  const named = expect.objectContaining({ argument: variable, message: expect.stringMatching(new RegExp(`^${variable}: expected `)) })
  expect(() => OrchestratorClient.fromEnv(env)).toThrow(named)
  const overrides = { baseUrl: 'http://other:8000', apiKey: 'other', proxyId: 'other' }
  expect(OrchestratorClient.fromEnv(env, overrides)).toBeInstanceOf(OrchestratorClient)
})

it('the other variables are ignored if ACEXY_ORCH_URL is not set, also with an overriding baseUrl', () => {
  const env = { ACEXY_MAX_STREAMS_PER_ENGINE: 'two' }
  expect(OrchestratorClient.fromEnv(env, { baseUrl: 'http://orchestrator:8000' })).toBeInstanceOf(OrchestratorClient)
})
