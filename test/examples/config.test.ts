import { describe, expect, it } from 'vitest'
import { type Environment, readConfig } from '../../examples/proxy/config.ts'
import { parseDuration } from '../../examples/proxy/durations.ts'
import { USAGE } from '../../examples/proxy/usage.ts'
import { read } from '../docs/pages.ts'

describe('the configuration of the proxy', () => {
  it('uses the defaults of the Go proxy for variables that are unset or empty', () => {
    const expected = {
      listen: { port: 8080 },
      scheme: 'http',
      engine: { host: 'localhost', port: 6878 },
      isEngineNamed: false,
      engineHost: undefined,
      headerTimeoutMs: 10_000,
      idleTimeoutMs: 60_000,
      capacityTimeoutMs: 30_000,
      lingerMs: 5_000,
      logLevel: 'info',
    }
    expect(readConfig({})).toMatchObject(expected)
    expect(readConfig({ ACEXY_HOST: '', ACEXY_PORT: ' ', ACEXY_M3U8: '' })).toMatchObject(expected)
  })

  it('reads the variables of the Go proxy with the same meaning', () => {
    const config = readConfig({
      ACEXY_LISTEN_ADDR: '[::1]:9000',
      ACEXY_SCHEME: 'https',
      ACEXY_HOST: 'engine',
      ACEXY_PORT: '6879',
      ACEXY_NO_RESPONSE_TIMEOUT: '20s',
      ACEXY_EMPTY_TIMEOUT: '1m30s',
      ACEXY_M3U8: 'true',
      ACEXY_M3U8_STREAM_TIMEOUT: '60s',
      ACEXY_LOG_LEVEL: 'WARN',
    })
    expect(config).toMatchObject({ listen: { host: '::1', port: 9000 }, scheme: 'https', engine: { host: 'engine', port: 6879 } })
    expect(config).toMatchObject({ isEngineNamed: true, headerTimeoutMs: 20_000, idleTimeoutMs: 90_000, logLevel: 'warn' })
    expect(config).toMatchObject({ isHls: true, hlsTimeoutMs: 60_000 })
  })

  it('reads how long viewers wait and streams linger, and accepts 0 for both', () => {
    expect(readConfig({ ACEXY_CAPACITY_TIMEOUT: '0', ACEXY_LINGER: '0' })).toMatchObject({ capacityTimeoutMs: 0, lingerMs: 0 })
    expect(readConfig({ ACEXY_LINGER: '500ms' }).lingerMs).toBe(500)
  })

  it.each([
    ['', ''],
    ['/', ''],
    ['/tv', '/tv'],
    ['/tv/live-1.0~_/', '/tv/live-1.0~_'],
  ])('reads the base path %j as %j', (value, basePath) => {
    expect(readConfig({ ACEXY_BASE_PATH: value }).basePath).toBe(basePath)
  })

  it('shows no details on the status page by default', () => {
    expect(readConfig({}).showsDetails).toBe(false)
    expect(readConfig({ ACEXY_STATUS_DETAILS: 'true' }).showsDetails).toBe(true)
  })

  it('trusts no reverse proxy by default', () => {
    expect(readConfig({}).isProxyTrusted).toBe(false)
    expect(['true', 'TRUE', '1', 'false', '0'].map((value) => readConfig({ ACEXY_TRUST_PROXY: value }).isProxyTrusted)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ])
  })

  it('reads how long a viewer may be slow: 30 s unless it is set', () => {
    expect(readConfig({}).slowViewerTimeoutMs).toBe(30_000)
    expect(readConfig({ ACEXY_SLOW_VIEWER_TIMEOUT: '1m' }).slowViewerTimeoutMs).toBe(60_000)
  })

  it.each<[Environment]>([
    [{ ACEXY_LISTEN_ADDR: '8080' }],
    [{ ACEXY_LISTEN_ADDR: ':65536' }],
    [{ ACEXY_ADDR: 'nowhere' }],
    [{ ACEXY_SCHEME: 'rtmp' }],
    [{ ACEXY_PORT: '0' }],
    [{ ACEXY_NO_RESPONSE_TIMEOUT: '10' }],
    [{ ACEXY_EMPTY_TIMEOUT: '0s' }],
    [{ ACEXY_EMPTY_TIMEOUT: '-1s' }],
    [{ ACEXY_EMPTY_TIMEOUT: '900h' }],
    [{ ACEXY_LINGER: '5' }],
    [{ ACEXY_SLOW_VIEWER_TIMEOUT: '0' }],
    [{ ACEXY_M3U8: 'hls' }],
    [{ ACEXY_M3U8_STREAM_TIMEOUT: '0' }],
    [{ ACEXY_LOG_LEVEL: 'loud' }],
    [{ ACEXY_BASE_PATH: 'tv' }],
    [{ ACEXY_BASE_PATH: '/a//b' }],
    [{ ACEXY_BASE_PATH: '/..' }],
    [{ ACEXY_BASE_PATH: '/a b' }],
    [{ ACEXY_TRUST_PROXY: '10.0.0.1' }],
  ])('rejects %o with an error that names the variable', (env) => {
    const [name = ''] = Object.keys(env)
    expect(() => readConfig(env)).toThrow(name)
  })

  it.each([
    ['500ms', 500],
    ['1m30s', 90_000],
    ['1.5s', 1_500],
    ['1h', 3_600_000],
    ['0', 0],
    ['', undefined],
    ['5', undefined],
    ['5 s', undefined],
    ['s', undefined],
    ['5s!', undefined],
  ])('parses the duration %j as Go does', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })
})

describe('the variables of the proxy', () => {
  /** The variables and the default of each row of the tables in the README. */
  const [, section = ''] = read('examples/proxy/README.md').split(/^## (?:Variables|Sharing)$/m)
  const rows = [...section.matchAll(/^\| (`ACEXY_[^|]*)\| ([^|]*)\|/gm)].map(([, names = '', value = '']) => ({
    names: names.match(/\bACEXY_\w+/g) ?? [],
    value: value.match(/^`(.*)` $/)?.[1],
  }))

  it('stand in the README and in --help, each once', () => {
    const inReadme = rows.flatMap(({ names }) => names).sort()
    expect(inReadme).toEqual([...new Set(USAGE.match(/\bACEXY_[A-Z\d_]*[A-Z\d](?=[\s,;])/g))].sort())
    expect(inReadme).toEqual([...new Set(inReadme)])
  })

  it('have the same defaults there', () => {
    const withDefault = rows.filter(({ value }) => value !== undefined && !value.includes(','))
    expect(withDefault.length).toBeGreaterThan(8)
    for (const { names, value } of withDefault) {
      const line = USAGE.split('\n').find((text) => text.startsWith(`  ${names[0]} `))
      expect(line).toContain(`(${value})`)
    }
  })
})
