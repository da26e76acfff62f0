import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import { OrchestratorClient, type Transport } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { InvalidArgumentError } from '../../src/errors.ts'
import { KyTransport } from '../../src/runtime/ky-transport.ts'
import { VERSION } from '../../src/version.ts'
import { setup } from '../support/setup.ts'
import { StubTransport } from '../support/stub-transport.ts'
import { rejection } from './stub-orchestrator.ts'

const TOKEN = 'proxy-t0ken/x'

type HeadersOption = ConstructorParameters<typeof OrchestratorClient>[0]['headers']

describe('headers that a host adds', () => {
  const world = (headers: HeadersOption, options: object = {}) => {
    const transport = new StubTransport(() => ({ body: [] }))
    return { transport, ...setup({}, { transport, dialect: 'unversioned', headers, ...options }) }
  }

  it('are sent with each request, but never replace the headers of the client itself', async () => {
    const { transport, client } = world({ 'X-Token': TOKEN, Authorization: 'Basic eDp5', ACCEPT: 'text/html', 'User-Agent': 'other' })
    await client.listEngines()
    const [request] = transport.requests
    expect(request?.headers).toEqual({
      'x-token': TOKEN,
      accept: 'application/json',
      'user-agent': `acestream-orchestrator-client/${VERSION}`,
      authorization: expect.stringContaining('Bearer '),
    })
  })

  it.each([
    ['Headers', new Headers({ 'X-Token': TOKEN })],
    ['a Map', new Map([['X-Token', TOKEN]])],
    ['pairs', [['X-Token', TOKEN]] as const],
  ])('can be passed as %s', async (_, headers) => {
    const { transport, client } = world(headers)
    await client.listEngines()
    expect(transport.requests[0]?.headers).toMatchObject({ 'x-token': TOKEN })
  })

  it('can contain the authorization for a reverse proxy if there is no API key', async () => {
    const { transport, client } = world({ Authorization: 'Basic eDp5' }, { apiKey: undefined })
    await client.listEngines()
    expect(transport.requests[0]?.headers).toMatchObject({ authorization: 'Basic eDp5' })
  })

  it('are sent unchanged after a transport of the host has changed the URL and the headers of an earlier request', async () => {
    const transport = new StubTransport(() => ({ body: [] }))
    const sent: string[] = []
    const changing: Transport = {
      request(request) {
        sent.push(`${request.url.href} ${request.headers['x-token']}`)
        const answer = transport.request(request)
        if (request.url instanceof URL) request.url.pathname = '/elsewhere'
        request.headers['x-token'] = 'another'
        return answer
      },
    }
    const { client } = setup({}, { transport: changing, dialect: 'unversioned', headers: { 'x-token': TOKEN } })
    await client.listEngines()
    await client.listEngines({ fresh: true })
    const [first, second] = sent
    expect(first).toContain(`/engines ${TOKEN}`)
    expect(second).toBe(first)
  })

  it.each([
    ['the answer', (echo: string) => new StubTransport(() => ({ status: 403, body: echo }))],
    ['a transport error', (echo: string) => ({ request: () => Promise.reject(new Error(echo, { cause: echo })) })],
  ])('are secrets: *** replaces their values in errors and log lines if %s contains them', async (_, make) => {
    const lines: unknown[] = []
    const log = (...line: unknown[]): void => void lines.push(line)
    const { client } = setup(
      {},
      {
        transport: make(`bad ${TOKEN} and ${encodeURIComponent(TOKEN)} and c2VjcmV0OnB3`),
        headers: { 'x-token': TOKEN, 'proxy-authorization': 'Basic c2VjcmV0OnB3', 'x-forwarded-proto': 'https' },
        logger: { debug: log, info: log, warn: log, error: log },
        retry: { attempts: 1 },
      },
    )
    const text = inspect([await rejection(client.listEngines()), lines], { depth: null, showHidden: true })
    for (const secret of [TOKEN, encodeURIComponent(TOKEN), 'c2VjcmV0OnB3']) expect(text).not.toContain(secret)
    expect(text).toContain('***')
  })

  it.each(['orchestrator.test', 'engines', 'http://orchestrator.test'])(
    'do not hide the URL in errors if a header value is a part of that URL: %s',
    async (value) => {
      const { client } = setup(
        {},
        {
          transport: { request: () => Promise.reject(new Error('away')) },
          headers: { 'x-forwarded-host': value },
          retry: { attempts: 1 },
        },
      )
      const failure = await rejection(client.listEngines())
      expect(failure).toMatchObject({ url: expect.stringMatching(/^http:\/\/orchestrator\.test\/.*engines$/) })
      expect(inspect(failure)).not.toContain('***')
    },
  )

  it('are secrets for the default transport without a client too: its errors do not show their values', async () => {
    const url = new URL('http://127.0.0.1:9/x')
    const failure = await rejection(
      new KyTransport().request({ method: 'GET', url, headers: { 'x-token': 'ECONNREFUSED' }, timeoutMs: 5_000 }),
    )
    expect(inspect(failure, { depth: null, showHidden: true })).not.toContain('ECONNREFUSED')
  })

  it.each([
    ['a name with a space', { 'x y': '1' }],
    ['an empty name', { '': '1' }],
    ['a value with a line break', { 'x-a': `${TOKEN}\r\nx-b: 1` }],
    ['a value beyond ASCII', { 'x-a': `${TOKEN}ü` }],
    ['a value that is a number', { 'x-a': 1 }],
    ['the same name twice', { 'x-a': '1', 'X-A': '2' }],
    ['Content-Length, which the transport sets', { 'Content-Length': '5' }],
    ['Host, which the transport sets', { host: 'other' }],
    ['a string in place of an object', 'x-a: 1'],
    ['strings in place of pairs', new Set([TOKEN])],
    ['a pair whose value is a number', new Map([['x-a', 1]])],
    ['an object of a class without headers', new Date(0)],
  ])('are rejected, without showing their values, if they cannot be sent: %s', (_, headers) => {
    const options = { baseUrl: 'http://orchestrator.test', headers } as ConstructorParameters<typeof OrchestratorClient>[0]
    const make = () => new OrchestratorClient(options)
    expect(make).toThrow(InvalidArgumentError)
    expect(make).toThrow(/^headers/)
    expect(make).not.toThrow(TOKEN)
  })
})

it('the version that the client sends in User-Agent is the version of the package', async () => {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  const transport = new StubTransport(() => ({ body: [] }))
  const { client } = setup({}, { transport, dialect: 'unversioned' })
  await client.listEngines()
  expect(transport.requests[0]?.headers).toMatchObject({ 'user-agent': `acestream-orchestrator-client/${version}` })
})
