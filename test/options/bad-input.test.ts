import { InvalidArgumentError, OrchestratorClient, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { failureOf, setup } from '../support/setup.ts'

const baseUrl = 'http://orchestrator:8000'

const wrong: [name: string, option: Record<string, unknown>, argument?: string][] = [
  ['a baseUrl that is missing', { baseUrl: undefined }, 'baseUrl'],
  ['a baseUrl that is not a URL', { baseUrl: 'orchestrator:8000/x y' }, 'baseUrl'],
  ['a baseUrl without a scheme', { baseUrl: '/orchestrator' }, 'baseUrl'],
  ['a baseUrl that is not http(s)', { baseUrl: 'ftp://orchestrator' }, 'baseUrl'],
  ['a baseUrl with credentials', { baseUrl: 'http://user:secret@orchestrator' }, 'baseUrl'],
  ['a baseUrl with a query', { baseUrl: 'http://orchestrator/?a=1' }, 'baseUrl'],
  ['an apiKey that no header can carry', { apiKey: 'with\nnewline' }, 'apiKey'],
  ['an empty apiKey', { apiKey: '' }, 'apiKey'],
  ['an apiKey that is a number', { apiKey: 7 }, 'apiKey'],
  ['an unknown dialect', { dialect: 'v2' }, 'dialect'],
  ['an empty proxyId', { proxyId: '' }, 'proxyId'],
  ['a limit below 1', { maxStreamsPerEngine: 0 }, 'maxStreamsPerEngine'],
  ['a limit that is not an integer', { maxStreamsPerEngine: 1.5 }, 'maxStreamsPerEngine'],
  ['a limit that is a string', { maxStreamsPerEngine: '2' }, 'maxStreamsPerEngine'],
  ['zero concurrent requests', { maxConcurrentRequests: 0 }, 'maxConcurrentRequests'],
  ['a retention of zero ended ids', { endedRetentionMax: 0 }, 'endedRetentionMax'],
  ['zero attempts', { retry: { attempts: 0 } }, 'retry.attempts'],
  ['a negative retry delay', { retry: { baseDelayMs: -1 } }, 'retry.baseDelayMs'],
  ['an infinite retry delay', { retry: { maxDelayMs: Number.POSITIVE_INFINITY } }, 'retry.maxDelayMs'],
  ['a retry that is a number', { retry: 3 }, 'retry'],
  ['a circuit breaker with a threshold of 0', { circuitBreaker: { failureThreshold: 0 } }, 'circuitBreaker.failureThreshold'],
  ['a circuit breaker that resets after 0 ms', { circuitBreaker: { resetAfterMs: 0 } }, 'circuitBreaker.resetAfterMs'],
  ['a circuit breaker that is true', { circuitBreaker: true }, 'circuitBreaker'],
  ['a watch that is not a boolean', { watch: 'yes' }, 'watch'],
  ['a fallback engine without a host', { fallbackEngine: { port: 6878 } }, 'fallbackEngine.host'],
  ['a fallback engine whose host contains a path', { fallbackEngine: { host: 'a/b', port: 1 } }, 'fallbackEngine.host'],
  ['a fallback engine whose host has a port', { fallbackEngine: { host: 'engine:6878', port: 6878 } }, 'fallbackEngine.host'],
  ['a fallback engine with port 0', { fallbackEngine: { host: 'x', port: 0 } }, 'fallbackEngine.port'],
  ['a mapEngine that is not a function', { mapEngine: {} }, 'mapEngine'],
  ['a rankEngines that is not a function', { rankEngines: 'load' }, 'rankEngines'],
  ['a random that is not a function', { random: 0.5 }, 'random'],
  ['a transport without request()', { transport: {} }, 'transport'],
  ['a clock without setTimeout()', { clock: { now: () => 0 } }, 'clock'],
  ['a cache without delete()', { cache: { get: () => undefined, set: () => undefined } }, 'cache'],
  ['a store without take()', { store: {} }, 'store'],
  ['a logger without warn()', { logger: { debug() {}, info() {}, error() {} } }, 'logger'],
  ...[
    'cacheTtlMs',
    'staleIfErrorMs',
    'requestTimeoutMs',
    'provisionTimeoutMs',
    'leaseTtlMs',
    'endedRetentionMs',
    'healthIntervalMs',
    'sweepIntervalMs',
    'reconcileIntervalMs',
    'deliveryTimeoutMs',
  ].flatMap((name): [string, Record<string, unknown>, string][] =>
    [-1, Number.NaN, Number.POSITIVE_INFINITY, '1000', null].map((value) => [`${name} ${value}`, { [name]: value }, name]),
  ),
  ...['requestTimeoutMs', 'provisionTimeoutMs', 'leaseTtlMs'].map((name): [string, Record<string, unknown>, string] => [
    `${name} 0`,
    { [name]: 0 },
    name,
  ]),
]

describe('the constructor', () => {
  it.each(wrong)('rejects %s with an error that names the option', (_, option, argument) => {
    const create = () => new OrchestratorClient({ baseUrl, ...option } as OrchestratorClientOptions)
    expect(create).toThrow(InvalidArgumentError)
    expect(create).toThrow(
      expect.objectContaining({ argument, code: 'INVALID_ARGUMENT', message: expect.stringContaining(argument ?? '') }),
    )
  })

  it.each([undefined, null, 'http://orchestrator'])('rejects %s in place of options', (options) => {
    expect(() => new OrchestratorClient(options as never)).toThrow(InvalidArgumentError)
  })

  it('never shows the API key in the error that it throws', () => {
    const create = () => new OrchestratorClient({ baseUrl, apiKey: 'secret\u0000key' })
    expect(create).toThrow(expect.objectContaining({ message: expect.not.stringContaining('secret') }))
  })

  it.each([
    [{ leaseTtlMs: 0 }, 'leaseTtlMs: expected a finite number of milliseconds above 0, not 0'],
    [{ maxStreamsPerEngine: true }, 'maxStreamsPerEngine: expected a whole number, 1 or more, not true'],
    [{ maxStreamsPerEngine: 'secret' }, 'maxStreamsPerEngine: expected a whole number, 1 or more, not a string of 6 characters'],
    [{ watch: ['secret'] }, 'watch: expected true or false, not an array'],
    [{ retry: null }, 'retry: expected an object, not null'],
  ])('names the wrong value in the error for %o if it is a number or a boolean, and only the type of a text', (option, message) => {
    expect(() => new OrchestratorClient({ baseUrl, ...option } as never)).toThrow(expect.objectContaining({ message }))
  })

  it('accepts 0 for every duration that can be switched off', () => {
    const off = { cacheTtlMs: 0, staleIfErrorMs: 0, endedRetentionMs: 0, healthIntervalMs: 0, sweepIntervalMs: 0, reconcileIntervalMs: 0 }
    expect(() => new OrchestratorClient({ baseUrl, ...off, circuitBreaker: false, retry: {}, watch: false })).not.toThrow()
  })
})

describe('a call', () => {
  it.each([
    ['waitMs', { waitMs: -1 }],
    ['waitMs', { waitMs: Number.NaN }],
    ['provision', { provision: 'no' }],
    ['exclude', { exclude: 'abc' }],
    ['exclude', { exclude: [1] }],
    ['exclude', { exclude: {} }],
    ['content', { content: null }],
    ['content', { content: 'a'.repeat(40) }],
    ['content.keyType', { content: { keyType: 'INFOHASH', key: 'a' } }],
    ['content.keyType', { content: { key: 'a' } }],
    ['content.key', { content: { keyType: 'infohash' } }],
    ['content.key', { content: { keyType: 'infohash', key: '' } }],
    ['content.key', { content: { keyType: 'magnet', key: 'a'.repeat(8_193) } }],
    ['content.keytype', { content: { keytype: 'infohash', key: 'a' } }],
    ['signal', { signal: {} }],
    ['options', null],
  ])('acquireEngine rejects an invalid %s, and sends nothing', async (argument, options) => {
    const { client, fake } = setup()
    expect(await failureOf(client.acquireEngine(options as never))).toMatchObject({ code: 'INVALID_ARGUMENT', argument })
    expect(fake.counters.requests.total).toBe(0)
  })

  it.each([
    ['filter', null, undefined],
    ['filter.status', { status: 'paused' }, undefined],
    ['filter.containerId', { containerId: '' }, undefined],
    ['signal', {}, { signal: 1 }],
  ])('listStreams rejects an invalid %s', async (argument, filter, options) => {
    const { client } = setup()
    expect(await failureOf(client.listStreams(filter as never, options as never))).toMatchObject({ code: 'INVALID_ARGUMENT', argument })
  })

  it.each([
    ['labels.a', { labels: { a: 1 } }],
    ['env', { env: 'A=1' }],
  ])('provisionEngine rejects an invalid %s', async (argument, options) => {
    const { client } = setup()
    expect(await failureOf(client.provisionEngine(options as never))).toMatchObject({ code: 'INVALID_ARGUMENT', argument })
  })

  it('close rejects an invalid timeoutMs, and the client stays open', async () => {
    const { client } = setup()
    expect(await failureOf(client.close({ timeoutMs: -1 }))).toMatchObject({ code: 'INVALID_ARGUMENT', argument: 'timeoutMs' })
    expect(await client.listEngines()).toHaveLength(3)
  })
})

it('the class keeps its name when it is bundled: its code does not refer to its own name', async () => {
  expect(OrchestratorClient.name).toBe('OrchestratorClient')
  expect(OrchestratorClient.toString().slice(6)).not.toMatch(/new OrchestratorClient\(/)
})
