import { inspect } from 'node:util'
import type { OrchestratorClient } from 'acestream-orchestrator-client'
import type { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { RecordingLogger } from '../support/recording-logger.ts'
import { connect, during, failureOf, playback, setup } from '../support/setup.ts'

const WRONG = 'wr0ng-key'
const ADVICE = 'Set apiKey (ACEXY_ORCH_APIKEY) to the API_KEY of the orchestrator'

function world(generation: (typeof GENERATIONS)[number], options: Parameters<typeof setup>[1] = {}) {
  const logger = new RecordingLogger()
  const made = setup({ generation, engines: 3 }, { logger, retry: { attempts: 1 }, ...options })
  return { ...made, logger, errors: () => logger.logged.filter((line) => line.startsWith('error')) }
}

const startOn = async (client: OrchestratorClient, number = 1) =>
  (await client.acquireEngine()).startStream(playback(`${number}`.padStart(40, '0')))

describe.each(['2025-10', '2026-04'] as const)('the API key on %s', (generation) => {
  it('causes one error line that says what to do if it is wrong, and is `rejected` in the health', async () => {
    const { client, clock, logger, errors } = world(generation, { apiKey: WRONG })
    expect(await client.checkHealth()).toMatchObject({ status: 'healthy', key: 'unknown' })
    const changes: unknown[] = []
    client.on('health:changed', ({ previous, current }) => changes.push([previous.key, current.key]))
    for (let viewer = 0; viewer < 3; viewer += 1) expect(await failureOf(startOn(client, viewer))).toMatchObject({ code: 'AUTHENTICATION' })
    expect(errors()).toEqual([`error | The orchestrator at http://orchestrator.test rejects the API key. ${ADVICE}`])
    expect(client.health).toMatchObject({ status: 'healthy', key: 'rejected' })
    expect(changes).toEqual([['unknown', 'rejected']])
    expect(inspect([logger.all, client.health], { depth: null })).not.toContain(WRONG)
    await clock.settle()
  })

  it('is not blamed if a proxy in front of the orchestrator wants credentials of its own, which causes one error line', async () => {
    const { client, fake, errors } = world(generation)
    const headers = { 'www-authenticate': 'Basic realm="media"' }
    fake.inject({ kind: 'status', status: 401, headers, times: Number.POSITIVE_INFINITY })
    for (let viewer = 0; viewer < 3; viewer += 1) expect(await failureOf(client.listEngines())).toMatchObject({ code: 'AUTHENTICATION' })
    await failureOf(client.checkHealth())
    const line =
      'The orchestrator at http://orchestrator.test is behind a proxy that rejects requests. Pass its credentials in the option headers'
    expect(errors()).toEqual([`error | ${line}`])
    expect(client.health.key).toBe('unknown')
  })

  it.each([
    ['wants credentials of its own', { status: 401, headers: { 'www-authenticate': 'Basic realm="media"' }, body: '' }],
    ['answers with a web page', { status: 403, body: '<html><head><title>403 Forbidden</title></head></html>' }],
  ])('is not blamed if a proxy in front of the orchestrator rejects only starts, and %s', async (_, answer) => {
    const { client, fake, logger, errors } = world(generation)
    for (const round of [1, 2]) {
      fake.inject({ kind: 'status', route: 'POST /events/stream_started', ...answer })
      await failureOf(startOn(client, round))
      await startOn(client, round + 10)
    }
    const rejects = expect.stringMatching(
      /^error \| The orchestrator at \S+ is behind a proxy that rejects requests\. Pass its credentials/,
    )
    expect(errors()).toEqual([rejects, rejects])
    expect(
      logger.logged.filter((line) => line === 'info | The proxy in front of the orchestrator passes all requests on again'),
    ).toHaveLength(2)
    expect(client.health.key).toBe('accepted')
  })

  it('causes another error line if it is missing than if it is wrong', async () => {
    const { client, errors } = world(generation, { apiKey: undefined })
    await client.checkHealth()
    expect(client.health.key).toBe('none')
    await failureOf(startOn(client))
    expect(errors()).toEqual([`error | The orchestrator at http://orchestrator.test requires an API key, and none is set. ${ADVICE}`])
    expect(client.health.key).toBe('rejected')
  })

  it('is `accepted` in the health after the first event if it is right', async () => {
    const { client, errors } = world(generation)
    await client.listEngines()
    expect(client.health.key).toBe('unknown')
    await startOn(client)
    expect(client.health.key).toBe('accepted')
    expect(errors()).toEqual([])
  })

  it('causes a log line each time it is rejected and each time it is accepted again', async () => {
    const { client, fake, logger, errors } = world(generation, { dialect: 'unversioned' })
    for (const round of [1, 2]) {
      fake.inject({ kind: 'status', status: 401, route: 'POST /events/stream_started' })
      await failureOf(startOn(client, round))
      expect(client.health.key).toBe('rejected')
      await startOn(client, round + 10)
      expect(client.health.key).toBe('accepted')
    }
    expect(errors()).toHaveLength(2)
    expect(logger.logged.filter((line) => line === 'info | The orchestrator accepts the API key again')).toHaveLength(2)
  })

  it('is `rejected` in the health after a request for an engine was rejected', async () => {
    const { client, clock, errors } = world(generation, { apiKey: WRONG })
    await failureOf(during(clock, client.provisionEngine()))
    expect(client.health.key).toBe('rejected')
    expect(errors()).toHaveLength(1)
  })
})

describe('the API key on v1', () => {
  it('is `rejected` by the event stream if it is wrong, although v1 accepts events without a valid key', async () => {
    const { client, clock, errors } = world('v1', { apiKey: WRONG })
    const stream = await startOn(client)
    await clock.settle()
    expect(errors()).toEqual([`error | The orchestrator at http://orchestrator.test rejects the API key. ${ADVICE}`])
    await stream.end()
    expect(client.health.key).toBe('rejected')
    expect(errors()).toHaveLength(1)
  })

  it('is not blamed if a proxy in front of the orchestrator wants credentials of its own for the event stream', async () => {
    const { client, clock, fake, errors } = world('v1')
    const headers = { 'www-authenticate': 'Basic realm="media"' }
    fake.inject({ kind: 'status', status: 401, headers, route: 'GET /events/stream', times: Number.POSITIVE_INFINITY })
    await startOn(client)
    await clock.settle()
    expect(errors()).toEqual([
      expect.stringContaining('is behind a proxy that rejects requests. Pass its credentials in the option headers'),
    ])
    expect(client.health.key).toBe('unknown')
  })

  it('is `accepted` in the health once the event stream is open', async () => {
    const { client, clock, errors } = world('v1')
    await (await client.acquireEngine()).release()
    await clock.advance(1_000)
    expect(client.health.key).toBe('accepted')
    expect(errors()).toEqual([])
  })

  it('stays `unknown` without an event stream, since v1 accepts events without a valid key', async () => {
    const { client } = world('v1', { apiKey: WRONG, watch: false })
    await startOn(client)
    expect(client.health.key).toBe('unknown')
  })
})

it('a key is `rejected` when a read is answered with 401, and `accepted` when that read succeeds', async () => {
  const { client, fake, clock, errors } = world('2025-10', { cacheTtlMs: 0 })
  const fault = fake.inject({ kind: 'status', status: 401, times: Number.POSITIVE_INFINITY })
  await failureOf(client.listEngines())
  await failureOf(client.listEngines())
  expect(client.health.key).toBe('rejected')
  fault.remove()
  await clock.advance(1)
  await client.listEngines()
  expect(client.health).toMatchObject({ status: 'unknown', key: 'accepted' })
  expect(errors()).toHaveLength(1)
  expect(connect(fake, clock).health).toMatchObject({ status: 'unknown', key: 'unknown' })
})

describe('a key that was accepted in an event', () => {
  const withAcceptedKey = async (route: string) => {
    const { client, fake, clock, logger, errors } = world('2025-10', { cacheTtlMs: 0 })
    await startOn(client)
    const changes: unknown[] = []
    client.on('health:changed', ({ previous, current }) => previous.key !== current.key && changes.push(current.key))
    const reject = () => fake.inject({ kind: 'status', status: 403, route, times: Number.POSITIVE_INFINITY })
    return { client, clock, errors, changes, logger, reject }
  }

  it('stays `accepted` if a reverse proxy always rejects one route, which causes one error line', async () => {
    const { client, clock, errors, changes, reject } = await withAcceptedKey('GET /orchestrator/status')
    reject()
    for (let round = 0; round < 5; round += 1) {
      await failureOf(client.checkHealth())
      await startOn(client, round + 10)
      await clock.advance(1_000)
    }
    expect(client.health.key).toBe('accepted')
    expect(changes).toEqual([])
    expect(errors()).toEqual([
      'error | The orchestrator at http://orchestrator.test rejects GET /orchestrator/status, but accepts the API key elsewhere. Check the proxy in front of it',
    ])
  })

  it('stays `accepted` if a rate limiter rejects every second read, which causes one error line', async () => {
    const { client, clock, logger, errors, changes, reject } = await withAcceptedKey('GET /engines')
    for (let round = 0; round < 10; round += 1) {
      const fault = reject()
      await failureOf(client.listEngines())
      fault.remove()
      await clock.advance(1_000)
      await client.listEngines()
      await clock.advance(1_000)
    }
    expect(changes).toEqual([])
    expect(errors()).toEqual([expect.stringContaining('rejects GET /engines, but accepts the API key elsewhere')])
    expect(logger.logged.filter((line) => line.includes('accepts the API key again'))).toEqual([])
  })

  it('is `rejected` when a request for an engine is rejected, and a read that succeeds does not change that', async () => {
    const { client, fake, clock } = world('2025-10', { cacheTtlMs: 0 })
    await startOn(client)
    const fault = fake.inject({ kind: 'status', status: 401, times: Number.POSITIVE_INFINITY })
    await failureOf(client.listEngines())
    await during(clock, failureOf(client.provisionEngine()))
    fault.remove()
    await clock.advance(1)
    await client.listEngines()
    expect(client.health.key).toBe('rejected')
    await startOn(client, 20)
    expect(client.health.key).toBe('accepted')
  })
})
