import { inspect } from 'node:util'
import { OrchestratorClient } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { readArguments as readDemoArguments } from '../../examples/demo/arguments.ts'
import { readArguments as readFleetArguments } from '../../examples/fleet/arguments.ts'
import { ConfigError, type Environment, readConfig } from '../../examples/proxy/config.ts'
import { jsonLogger } from '../../examples/proxy/log.ts'
import { openStore } from '../../examples/proxy/store.ts'
import { isWindows } from '../support/platform.ts'
import { startExample } from './processes.ts'
import { eventually } from './stage.ts'

const SECRET = 'Xq7Marker'

/** Invalid values of `ACEXY_STORE`, each of which contains a secret. */
const WRONG_STORES = [
  `redis://:${SECRET}@`,
  `redis://user:${SECRET}@:6379`,
  `redis://${SECRET}:6379x`,
  `redis://user:${SECRET}@host:99999`,
  `redis://user:${SECRET}@host:port`,
  `redis://user:${SECRET}@ho st:6379`,
  `redis://user:${SECRET}@/0`,
  `redis:///${SECRET}`,
  `redis://user:1/${SECRET}@host:6379`,
  `redis://user:1?${SECRET}@host:6379`,
  `redis://user:1?a=b&${SECRET}@host:6379`,
  `redis://user:1#${SECRET}@host:6379`,
  `redis://user:pa/${SECRET}@host:6379`,
  `redis://user:pa#${SECRET}@host:6379`,
  `redis://user:${SECRET}%@host:6379`,
  `redis://${SECRET}%zz@host:6379`,
  `redis://host:6379/${SECRET}`,
  `redis://host:6379/0/${SECRET}`,
  `redis://user:${SECRET}@host:6379/first`,
  `redis://user:${SECRET}@host:6379/-1`,
  `redis://user:${SECRET}@host:6379/123456`,
  `redis://host:6379?password=${SECRET}`,
  `redis://host:6379/0?db=${SECRET}`,
  `redis://host:6379/0?-${SECRET}`,
  `redis://host:6379/0?name=a&${SECRET}=1@`,
  `redis://host:6379/0?name=${SECRET}&name=${SECRET}`,
  `redis://host:6379/0?name=${SECRET.repeat(30)}`,
  `redis://host:6379/0#${SECRET}`,
  `redis:/user:${SECRET}@host:6379`,
  `redis+tls://user:${SECRET}@host:6379`,
  `https://user:${SECRET}@host:6379`,
  `//user:${SECRET}@host:6379`,
  `user:${SECRET}@host:6379`,
  `"redis://user:${SECRET}@host:6379"`,
  `ACEXY_STORE=redis://user:${SECRET}@host:6379`,
  SECRET,
]

/** Variables of the proxy that should contain no secret, with an invalid value that contains one. */
const WRONG_VARIABLES = [
  ['ACEXY_LISTEN_ADDR', `http://user:${SECRET}@host:8080`],
  ['ACEXY_ADDR', `user@${SECRET}:8080`],
  ['ACEXY_HOST', `http://user:${SECRET}@engine`],
  ['ACEXY_HOST', `user@${SECRET}`],
  ['ACEXY_PORT', SECRET],
  ['ACEXY_SCHEME', `https://${SECRET}@engine`],
  ['ACEXY_ENGINE_HOST', `http://user:${SECRET}@engine:6878`],
  ['ACEXY_NO_RESPONSE_TIMEOUT', SECRET],
  ['ACEXY_EMPTY_TIMEOUT', SECRET],
  ['ACEXY_CAPACITY_TIMEOUT', SECRET],
  ['ACEXY_LINGER', SECRET],
  ['ACEXY_SLOW_VIEWER_TIMEOUT', SECRET],
  ['ACEXY_SHUTDOWN_TIMEOUT', SECRET],
  ['ACEXY_MAX_STREAMS_PER_ENGINE', SECRET],
  ['ACEXY_M3U8', SECRET],
  ['ACEXY_M3U8_STREAM_TIMEOUT', SECRET],
  ['ACEXY_LOG_LEVEL', SECRET],
  ['ACEXY_BASE_PATH', `http://user:${SECRET}@host/tv`],
  ['ACEXY_TRUST_PROXY', SECRET],
] as const

/** Formats an error with everything that a log could show of it. */
function printed(error: unknown): string {
  return `${inspect(error, { depth: 9, showHidden: true })} ${(error as Error).message} ${JSON.stringify(error)}`
}

async function thrownBy(action: () => unknown): Promise<unknown> {
  try {
    await action()
  } catch (error) {
    return error
  }
  return undefined
}

describe('a secret is not shown', () => {
  const logger = jsonLogger('debug', () => {})

  it.each(WRONG_STORES)('in the error for ACEXY_STORE=%s', async (value) => {
    const error = await thrownBy(() => openStore({ ACEXY_STORE: value }, logger))
    expect(error).toBeInstanceOf(ConfigError)
    expect((error as Error).message).toMatch(/^ACEXY_STORE: expected /)
    expect(printed(error)).not.toContain(SECRET)
  })

  it('in the error for ACEXY_STORE_TTL', async () => {
    const error = await thrownBy(() => openStore({ ACEXY_STORE: 'redis://host', ACEXY_STORE_TTL: SECRET }, logger))
    expect((error as Error).message).toMatch(/^ACEXY_STORE_TTL: expected /)
    expect(printed(error)).not.toContain(SECRET)
  })

  it.each(WRONG_VARIABLES)('in the error for %s=%s', async (name, value) => {
    const error = await thrownBy(() => readConfig({ [name]: value }))
    expect((error as Error).message).toMatch(new RegExp(`^${name}: expected `))
    expect(printed(error)).not.toContain(SECRET)
  })

  it.each<[Environment]>([
    [{ ACEXY_ORCH_URL: `http://user:${SECRET}@orchestrator:8000` }],
    [{ ACEXY_ORCH_URL: `http://${SECRET}@orchestrator:8000` }],
    [{ ACEXY_ORCH_URL: `http://orchestrator:8000/?api_key=${SECRET}` }],
    [{ ACEXY_ORCH_URL: `http://orchestrator:8000/#${SECRET}` }],
    [{ ACEXY_ORCH_URL: `http://user:1/${SECRET}@orchestrator:8000` }],
    [{ ACEXY_ORCH_URL: `http://user:${SECRET}@orchestrator:99999` }],
    [{ ACEXY_ORCH_URL: `user:${SECRET}@orchestrator:8000` }],
    [{ ACEXY_ORCH_URL: `ftp://user:${SECRET}@orchestrator` }],
    [{ ACEXY_ORCH_URL: 'http://orchestrator', ACEXY_ORCH_APIKEY: `${SECRET} ß` }],
    [{ ACEXY_ORCH_URL: 'http://orchestrator', ACEXY_MAX_STREAMS_PER_ENGINE: SECRET }],
  ])('in the error for %o', async (env) => {
    const error = await thrownBy(() => OrchestratorClient.fromEnv(env))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(printed(error)).not.toContain(SECRET)
  })

  it.each([
    { [`authorization: Bearer ${SECRET}`]: '' },
    { [`authorization=${SECRET} `]: 'x' },
    { authorization: `Bearer ${SECRET}\n` },
    [`authorization: ${SECRET}`],
    `authorization: ${SECRET}`,
  ])('in the error for the headers %o', async (headers) => {
    const options = { baseUrl: 'http://orchestrator', headers } as unknown as ConstructorParameters<typeof OrchestratorClient>[0]
    const error = await thrownBy(() => new OrchestratorClient(options))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT' })
    expect(printed(error)).not.toContain(SECRET)
  })

  it.each([
    ['--url', `http://user:${SECRET}@orchestrator`],
    ['--url', `http://user:1/${SECRET}@orchestrator`],
    ['--url', `user:${SECRET}@orchestrator`],
    ['--url', 'http://orchestrator', SECRET],
    ['--url', 'http://orchestrator', `--api-key-${SECRET}`],
    ['--speed', SECRET],
    ['--generation', SECRET],
    ['--rush', `--chaos=${SECRET}`],
  ])('in the error of the demo for the arguments %s %s %s', async (...argv) => {
    const error = await thrownBy(() => readDemoArguments(argv, 'trace'))
    expect(error).toMatchObject({ name: 'UsageError' })
    expect(printed(error)).not.toContain(SECRET)
  })

  it.each([[SECRET], [`redis://:${SECRET}@host`], [`--store-${SECRET}`], ['--seed', SECRET]])(
    'in the error of the fleet demo for the arguments %s %s',
    async (...argv) => {
      const error = await thrownBy(() => readFleetArguments(argv))
      expect(error).toMatchObject({ name: 'UsageError' })
      expect(printed(error)).not.toContain(SECRET)
    },
  )
})

describe('a secret is not printed by the proxy', () => {
  it.each([
    [{ ACEXY_STORE: `redis://user:1/${SECRET}@host:6379` }, [], 'ACEXY_STORE'],
    [{ ACEXY_ORCH_URL: `http://user:${SECRET}@orchestrator` }, [], 'ACEXY_ORCH_URL'],
    [{}, [`redis://user:${SECRET}@host`], 'no arguments'],
  ])('when it rejects the environment %o and the arguments %o', async (env: Record<string, string>, args: string[], expected) => {
    const { exit, output } = startExample('proxy/main.ts', args, { ACEXY_LISTEN_ADDR: '127.0.0.1:0', ...env })
    expect(await exit).toBe(2)
    expect(output()).toContain(expected)
    expect(output()).not.toContain(SECRET)
  })

  it.skipIf(isWindows)('while Redis cannot be reached, or when the proxy closes', async () => {
    const { child, exit, output } = startExample('proxy/main.ts', [], {
      ACEXY_LISTEN_ADDR: '127.0.0.1:0',
      ACEXY_LOG_LEVEL: 'DEBUG',
      ACEXY_CAPACITY_TIMEOUT: '0',
      ACEXY_SHUTDOWN_TIMEOUT: '1s',
      ACEXY_ORCH_URL: 'http://127.0.0.1:1',
      ACEXY_ORCH_APIKEY: SECRET,
      ACEXY_STORE: `redis://${SECRET}-user:${SECRET}@127.0.0.1:1/3`,
    })
    await eventually(() => expect(output()).toContain('"listening"'))
    const url = /"url":"([^"]+)"/.exec(output())?.[1]
    const answer = await fetch(`${url}/ace/getstream?infohash=${'a'.repeat(40)}`, { signal: AbortSignal.timeout(60_000) })
    expect(answer.status).toBe(503)
    expect(await answer.text()).not.toContain(SECRET)
    await eventually(() => expect(output()).toContain('Redis'))
    child.kill('SIGTERM')
    expect(await exit).toBe(0)
    expect(output()).not.toContain(SECRET)
  })
})
