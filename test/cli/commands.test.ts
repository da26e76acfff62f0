import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS, readArguments } from '../../src/cli/arguments.ts'
import { loadChunks } from '../../src/runtime/chunk.ts'
import { VERSION } from '../../src/version.ts'
import { type Ran, runCli } from '../diagnosis/screen.ts'

const URL = 'http://orchestrator.test:8000'
const KEY = 'secret-key-0815'
const ESCAPE = '\u001b'

beforeAll(loadChunks)

/** Runs a command, given as one line, against a fake orchestrator. */
function runOn(fake: FakeOrchestrator, line: string, io: Parameters<typeof runCli>[1] = {}): Promise<Ran> {
  return runCli(line.split(' '), {
    env: { ACEXY_ORCH_URL: URL, ACEXY_ORCH_APIKEY: fake.apiKey, ...io.env },
    overrides: { transport: fake },
    connect: async () => {},
    ...io,
    ...(io.env && { env: { ACEXY_ORCH_URL: URL, ACEXY_ORCH_APIKEY: fake.apiKey, ...io.env } }),
  })
}

/** An orchestrator with one free, one full and one unhealthy engine. */
function mixed(): FakeOrchestrator {
  const clock = new ManualClock(Date.UTC(2026, 10, 27))
  const engines = [
    { containerId: 'free', host: '10.0.0.5', port: 19_000 },
    { containerId: 'full', host: '10.0.0.5', port: 19_001 },
    { containerId: 'sick', host: 'fd00::5', port: 19_002, healthStatus: 'unhealthy' as const },
  ]
  const fake = new FakeOrchestrator({ apiKey: KEY, engines, clock })
  fake.startElsewhere({ containerId: 'full', streamId: 'a-stream' })
  return fake
}

describe('each command', () => {
  const LINES = ['doctor', 'engines', 'streams', 'watch --count 1', 'acquire --dry-run', 'provision']

  it.each(LINES)('writes JSON and nothing else with --json: %s', async (line) => {
    const { out, err } = await runOn(mixed(), `${line} --json`)
    expect(err).toBe('')
    expect(JSON.parse(out)).toBeTypeOf('object')
  })

  it.each(LINES)('writes plain lines of at most 80 characters without a terminal: %s', async (line) => {
    const { out, err } = await runOn(mixed(), line)
    expect(err).toBe('')
    expect(out).not.toBe('')
    expect(out).not.toContain(ESCAPE)
    expect(out.split('\n').filter((text) => text.length > 80)).toEqual([])
  })

  it.each(LINES)('never writes the API key, although the server repeats it: %s', async (line) => {
    const fake = new FakeOrchestrator({ apiKey: KEY, engines: [{ host: `a-${KEY}`, port: 1, labels: { key: KEY }, vpnContainer: KEY }] })
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', streamId: KEY, key: KEY })
    for (const end of ['', ' --json']) {
      const { out, err } = await runOn(fake, line + end)
      expect(out.includes('***')).toBe(!line.startsWith('watch') || end !== '')
      expect(out + err).not.toContain(KEY)
    }
  })

  it.each(LINES)('never writes a token that --header adds, although the server repeats it: %s', async (line) => {
    const fake = new FakeOrchestrator({
      apiKey: KEY,
      engines: [{ host: 'engine', port: 1, containerName: 'a-proxy-token', labels: { a: 'proxy-token' } }],
    })
    fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', streamId: 'proxy-token', key: 'proxy-token' })
    const { out, err } = await runCli([...line.split(' '), '--header', 'authorization: Bearer proxy-token', '--json'], {
      env: { ACEXY_ORCH_URL: URL, ACEXY_ORCH_APIKEY: fake.apiKey },
      overrides: { transport: fake },
      connect: async () => {},
    })
    expect(out).not.toBe('')
    expect(out + err).not.toContain('proxy-token')
  })

  it.each(LINES)('exits with 130 if it is interrupted before it has a result: %s', async (line) => {
    const interrupted = new AbortController()
    const transport = {
      request: () => {
        interrupted.abort(new Error('Interrupted'))
        return new Promise<never>(() => {})
      },
    }
    const { out, err, code } = await runOn(mixed(), line, { overrides: { transport }, signal: interrupted.signal })
    // The user ends `watch` in this way.
    expect({ out, err, code }).toEqual(
      line.startsWith('watch') ? { out: '', err: '', code: 0 } : { out: '', err: 'Interrupted\n', code: 130 },
    )
  })

  it.each(LINES)('exits with 1 if the orchestrator cannot be reached, and says why: %s', async (line) => {
    const fake = new FakeOrchestrator({ apiKey: KEY })
    fake.inject({ kind: 'refused', times: 1_000 })
    const { out, err, code } = await runOn(fake, line)
    expect(code).toBe(1)
    expect(out + err).toMatch(/refused|ECONNREFUSED/)
    const asJson = await runOn(fake, `${line} --json`)
    expect(asJson).toMatchObject({ code: 1, err: '' })
    expect(JSON.parse(asJson.out)).toBeTypeOf('object')
  })

  it.each(COMMANDS)('has a help of at most 80 columns, whose examples are right: %s', async (command) => {
    const { out, code } = await runCli([command, '--help'])
    expect(code).toBe(0)
    expect(out.split('\n').filter((line) => line.length > 80)).toEqual([])
    const examples = [...out.matchAll(/npx acestream-orchestrator-client (?!.*\[options\])(.*)/g)].map(([, line = '']) => line)
    expect(examples.length).toBeGreaterThan(1)
    for (const example of examples) {
      const args = (example.split(' | ')[0] ?? '').split(' ')
      expect(readArguments(args)).toMatchObject({ command, isHelp: false })
    }
    expect((await runCli(['help', command])).out).toBe(out)
  })

  it.each([
    ['', /^Usage: /],
    ['--help', /^Usage: [\s\S]*doctor[\s\S]*provision[\s\S]*Exit codes: /],
    ['help', /^Usage: /],
    ['--version', new RegExp(`^${VERSION.replaceAll('.', '\\.')}\n$`)],
  ])('is not needed for the general help and the version: %s', async (line, text) => {
    const { out, err, code } = await runCli(line.split(' ').filter((word) => word !== ''))
    expect(out).toMatch(text)
    expect({ err, code }).toEqual({ err: '', code: 0 })
  })
})

describe('a wrong usage exits with 2 and says what is wrong', () => {
  it.each<[line: string, message: RegExp]>([
    ['dance', /There is no command of this name. The commands are doctor, /],
    ['doktor', /There is no command of this name. Did you mean doctor\?/],
    ['doctor --ulr x', /There is no option --ulr. Did you mean --url\?/],
    ['doctor --fast', /There is no option --fast/],
    ['doctor --url', /--url .*needs a value/],
    ['doctor --json=yes', /--json.* takes no value/],
    ['doctor now', /After doctor only options can follow, each with its name: for an address, write --url/],
    ['engines --engine-host http://docker-host', /--engine-host \(ACEXY_ENGINE_HOST\): expected a host name or an IP address/],
    [
      'engines --engine-host docker-host:6878',
      /--engine-host \(ACEXY_ENGINE_HOST\): expected a host name or an IP address, without a port/,
    ],
    ['engines --dry-run', /--dry-run belongs to the command acquire/],
    ['acquire', /acquire needs --dry-run/],
    ['acquire --dry-run --infohash a --content-id b', /not both/],
    ['engines --limit many', /--limit \(ACEXY_MAX_STREAMS_PER_ENGINE\): expected a whole number/],
    ['engines --timeout soon', /--timeout needs a whole number/],
    ['watch --interval 0', /--interval needs a whole number/],
    ['engines --url orchestrator:8000', /--url \(ACEXY_ORCH_URL\): expected an absolute http or https URL/],
    ['engines --header to(ken:secret', /--header to: expected a valid header name/],
    ['engines --header token', /--header needs a name and a value/],
    [`engines --key a${'\u00e9'}${KEY}`, /--key \(ACEXY_ORCH_APIKEY\): expected visible ASCII characters/],
  ])('%s', async (line, message) => {
    const { out, err, code } = await runOn(mixed(), line)
    expect(err.replaceAll('\n', ' ')).toMatch(message)
    expect({ out, code }).toEqual({ out: '', code: 2 })
    expect(err).not.toContain(KEY)
    expect(JSON.parse((await runOn(mixed(), `${line} --json`)).out)).toMatchObject({ error: { message: expect.any(String) } })
  })

  it('without an address', async () => {
    const { err, code } = await runCli(['engines'])
    expect(err).toMatch(/Pass --url http:\/\/host:8000, or set ACEXY_ORCH_URL/)
    expect(code).toBe(2)
  })
})

describe('the arguments', () => {
  it('win over the variables of the environment', async () => {
    const urls: string[] = []
    const fake = mixed()
    const transport = {
      request: (request: Parameters<typeof fake.request>[0]) => {
        urls.push(`${request.url.origin} ${request.headers['authorization']} ${request.headers['x-token']}`)
        return fake.request(request)
      },
    }
    const { out } = await runCli(
      ['engines', '--json', '--url', 'http://other.test', '--key', 'other-key', '--header', 'X-Token: t', '--engine-host', 'docker-host'],
      { env: { ACEXY_ORCH_URL: URL, ACEXY_ORCH_APIKEY: KEY, ACEXY_ENGINE_HOST: 'unused' }, overrides: { transport } },
    )
    expect(new Set(urls)).toEqual(new Set(['http://other.test Bearer other-key t']))
    expect((JSON.parse(out) as { host: string }[]).map(({ host }) => host)).toEqual(['docker-host', 'docker-host', 'docker-host'])
  })

  it('may all come from the environment', async () => {
    const env = { ACEXY_ENGINE_HOST: 'docker-host', ACEXY_MAX_STREAMS_PER_ENGINE: '3' }
    const { out, code } = await runOn(mixed(), 'engines', { env })
    expect(code).toBe(0)
    expect(out).toMatch(/docker-host:19001 +healthy +1\/3/)
  })
})

it('a request that takes too long is reported with the name of the argument that limits it', async () => {
  const clock = new ManualClock()
  const running = runOn(mixed(), 'engines --timeout 500', {
    clock,
    overrides: { transport: { request: () => new Promise<never>(() => {}) } },
  })
  await clock.advance(500)
  expect((await running).err.replaceAll('\n', ' ')).toContain('no complete answer within 500 ms (--timeout)')
})

describe('colours', () => {
  it.each<[what: string, isTerminal: boolean, env: Record<string, string>, isColoured: boolean]>([
    ['are used on a terminal', true, {}, true],
    ['are not used without a terminal', false, {}, false],
    ['are not used with NO_COLOR', true, { NO_COLOR: '1' }, false],
    ['are used although NO_COLOR is empty', true, { NO_COLOR: '' }, true],
    ['are used with FORCE_COLOR, also without a terminal', false, { FORCE_COLOR: '1' }, true],
    ['are used with FORCE_COLOR, although NO_COLOR is set', true, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
    ['are not used with FORCE_COLOR=0', true, { FORCE_COLOR: '0' }, false],
    ['are not used on a dumb terminal', true, { TERM: 'dumb' }, false],
  ])('%s', async (_, isTerminal, env, isColoured) => {
    const { out } = await runOn(mixed(), 'doctor', { isTerminal, env })
    expect(out.includes(ESCAPE)).toBe(isColoured)
  })
})

describe('a table', () => {
  it('lists the engines with their load', async () => {
    const { out } = await runOn(mixed(), 'engines')
    const lines = out
      .trimEnd()
      .split('\n')
      .map((line) => line.trim().split(/ {2,}/))
    expect(lines[0]).toEqual(['ENGINE', 'ADDRESS', 'HEALTH', 'STREAMS', 'NOTES'])
    expect(
      lines
        .slice(1)
        .map((cells) => cells.slice(0, 4))
        .sort(),
    ).toEqual([
      ['free', '10.0.0.5:19000', 'healthy', '0/1'],
      ['full', '10.0.0.5:19001', 'healthy', '1/1'],
      ['sick', '[fd00::5]:19002', 'unhealthy', '0/1'],
    ])
  })

  it('lists the streams that have not ended, and all with --all', async () => {
    const fake = new FakeOrchestrator({ apiKey: KEY, engines: [{ containerId: 'one' }] })
    fake.startElsewhere({ containerId: 'one', streamId: 'over' })
    fake.endElsewhere('over')
    fake.startElsewhere({ containerId: 'one', streamId: 'live' })
    expect((await runOn(fake, 'streams')).out).toMatch(/live\n$/)
    expect((await runOn(fake, 'streams')).out).not.toContain('over')
    expect((await runOn(fake, 'streams --all')).out).toContain('over')
  })

  it('is as wide as the terminal, and cuts what does not fit', async () => {
    const { out } = await runOn(mixed(), 'engines', { columns: 50 })
    expect(out.split('\n').every((line) => line.length <= 50)).toBe(true)
    expect(out).toContain('…')
  })

  it.each(['2001:db8:85a3:8d3:1319:8a2e:370:7348', 'acestream-orchestrator-engine-number-12.media-network.internal'])(
    'shows whether an engine can be reached within 80 columns, however long its address is: %s',
    async (host) => {
      const fake = new FakeOrchestrator({ apiKey: KEY, engines: [{ containerId: 'a'.repeat(64), host, port: 19_000 }] })
      const { out } = await runOn(fake, 'doctor', { connect: () => Promise.reject(Object.assign(new Error(), { code: 'ECONNREFUSED' })) })
      const row = out.split('\n').find((line) => line.includes('aaaaaaaaaaaa'))
      expect(row).toMatch(/healthy +0\/1 +connection refused$/)
      expect(row?.length).toBeLessThanOrEqual(80)
    },
  )

  it.each(['doctor', 'doctor --store sqlite:/no/such/directory', 'engines'])(
    'breaks an address that is longer than a line: %s',
    async (line) => {
      const fake = new FakeOrchestrator({ apiKey: KEY })
      fake.inject({ kind: 'refused', times: 1_000 })
      const path = `/${'a-long-prefix-of-a-reverse-proxy/'.repeat(4)}orchestrator`
      const args = [...line.split(' ')]
      if (line.includes('sqlite')) args.push(args.pop() + path)
      const { out, err } = await runOn(fake, [...args, '--url', `${URL}${path}`].join(' '))
      expect((out + err).split('\n').filter((text) => text.length > 80)).toEqual([])
      expect((out + err).replaceAll(/\n */g, '')).toContain(`${URL}${path}`)
    },
  )

  it('shows no character that would control the terminal', async () => {
    const fake = new FakeOrchestrator({
      apiKey: KEY,
      engines: [{ containerId: `evil${ESCAPE}[2J`, containerName: `${ESCAPE}]0;title\u0007` }],
    })
    for (const line of ['engines', 'doctor', 'acquire --dry-run']) {
      const { out } = await runOn(fake, line)
      expect(out).toContain('evil')
      expect(out).not.toContain(ESCAPE)
    }
  })

  it('says so if there is nothing to list', async () => {
    const fake = new FakeOrchestrator({ apiKey: KEY, engines: 0 })
    expect((await runOn(fake, 'engines')).out).toBe('The orchestrator lists no engine.\n')
    expect((await runOn(fake, 'streams')).out).toBe('The orchestrator lists no stream.\n')
  })
})

describe('the store of the doctor', () => {
  const refusing = async (address: { port: number }): Promise<void> => {
    if (address.port === 6_379) throw new Error('connect ECONNREFUSED 10.0.0.9:6379')
  }

  it.each(['redis://user:redis-password@10.0.0.9', 'rediss://:redis-password@10.0.0.9:6379/1?name=fleet'])(
    'is reached by a connection to Redis, and its password is not shown: %s',
    async (store) => {
      const fake = new FakeOrchestrator({ apiKey: KEY, engines: 1 })
      const well = await runOn(fake, `doctor --store ${store}`)
      expect(well.out).toMatch(/Store Redis at 10\.0\.0\.9:6379\n {2}reached {5}yes\n/)
      expect(well.code).toBe(0)
      const ill = await runOn(fake, 'doctor', { env: { ACEXY_STORE: store }, connect: refusing })
      expect(ill.out).toMatch(/reached {5}no\n[\s\S]*\[store_unavailable\]/)
      expect(ill.code).toBe(1)
      expect(well.out + ill.out).not.toContain('redis-password')
    },
  )

  it('is a file that can be written, or made', async () => {
    const fake = new FakeOrchestrator({ apiKey: KEY, engines: 1 })
    const here = import.meta.filename
    expect(await runOn(fake, `doctor --store sqlite:${here}`)).toMatchObject({ code: 0 })
    expect(await runOn(fake, `doctor --store sqlite:${here}.new`)).toMatchObject({ code: 0 })
    const { out, code } = await runOn(fake, `doctor --store sqlite:${here}/state.db --json`)
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ store: `SQLite in ${here}/state.db`, problems: [{ code: 'store_unusable' }] })
  })

  it('is a wrong usage if it is neither, and is not shown', async () => {
    for (const store of ['postgres://user:db-password@host', 'redis://', 'redis:', 'sqlite:']) {
      const { err, code } = await runOn(mixed(), `doctor --store ${store}`)
      expect(code).toBe(2)
      expect(err).toContain('redis://host:port or sqlite:/path/to/file')
      expect(err).not.toContain('db-password')
    }
  })
})

describe('provision', () => {
  it('waits until the new engine is listed, and shows its address', async () => {
    const fake = new FakeOrchestrator({ apiKey: KEY, engines: 1 })
    const { out, code } = await runOn(fake, 'provision --engine-host docker-host')
    const [, added] = fake.engines
    expect({ out, code }).toEqual({ out: `Engine ${added?.containerId.slice(0, 12)} is listed at docker-host:${added?.port}.\n`, code: 0 })
  })

  it('exits with 1 if the orchestrator refuses, with its reason and advice', async () => {
    const fake = new FakeOrchestrator({ apiKey: KEY })
    fake.setProvisioning({ refuse: 'vpn_disconnected' })
    const { out, code } = await runOn(fake, 'provision --json')
    expect(code).toBe(1)
    expect(JSON.parse(out)).toMatchObject({ error: { code: 'CAPACITY', reason: 'vpn_disconnected', retryAfterMs: 60_000 } })
  })
})
