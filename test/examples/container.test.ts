import { existsSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Environment, readConfig, variablesWithoutEffect } from '../../examples/proxy/config.ts'
import { parseRedisUrl } from '../../examples/proxy/redis-url.ts'
import { singleEngine } from '../../examples/proxy/single-engine.ts'
import { USAGE } from '../../examples/proxy/usage.ts'
import { read } from '../docs/pages.ts'
import { startExample } from './processes.ts'
import { startEngine, startProxy } from './stage.ts'

const dockerfile = read('examples/proxy/Dockerfile')
const compose = read('examples/proxy/compose.yaml')
const variables = (text: string): string[] => [...new Set(text.match(/\bACEXY_\w+/g))]
const settings = Object.fromEntries(
  [...compose.matchAll(/^ +(ACEXY_\w+): "?([^"\n]*)"?$/gm)].map(([, name, value]) => [name ?? '', value ?? '']),
)

describe('the compose file of the proxy', () => {
  it('has an orchestrator, a Redis and a proxy', () => {
    const services = compose.slice(compose.indexOf('\nservices:'), compose.indexOf('\nvolumes:')).match(/^ {2}[\w-]+(?=:$)/gm)
    expect(services?.map((name) => name.trim())).toEqual(expect.arrayContaining(['orchestrator', 'redis', 'proxy']))
  })

  it('sets only variables that the proxy reads, to values that it accepts', () => {
    expect(Object.keys(settings).length).toBeGreaterThan(5)
    expect(variables(compose).filter((name) => !variables(USAGE).includes(name))).toEqual([])
    expect(readConfig(settings as Environment).logLevel).toBe('info')
    expect(parseRedisUrl('ACEXY_STORE', settings['ACEXY_STORE'] ?? '').name).toBe('acestream')
  })

  it('contains no key, and lets the proxy finish before it is killed', () => {
    expect(settings['ACEXY_ORCH_APIKEY']).toMatch(/^\$\{ORCHESTRATOR_API_KEY:\?/)
    const graceS = Number(/stop_grace_period: (\d+)s/.exec(compose)?.[1])
    expect(graceS * 1_000).toBeGreaterThan(readConfig(settings as Environment).shutdownTimeoutMs)
  })
})

describe('the Dockerfile of the proxy', () => {
  it('names only variables that the proxy reads, and copies and starts only files that exist', () => {
    expect(variables(dockerfile).filter((name) => !variables(USAGE).includes(name))).toEqual([])
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(\S+)/gm)].map(([, path]) => path ?? '')
    const started = [...dockerfile.matchAll(/"([\w-]+\.ts)"/g)].map(([, name]) => `examples/proxy/${name}`)
    expect(started).toEqual(['examples/proxy/healthcheck.ts', 'examples/proxy/main.ts'])
    expect([...copied, ...started].filter((path) => !existsSync(path))).toEqual([])
  })

  it('builds the package with the Node of its image: that of the development dependencies needs another C library than Alpine has', () => {
    expect(dockerfile).toMatch(/^FROM node:\d+-alpine AS package$/m)
    expect(dockerfile.match(/npm ci .*?(?= &&)/g)).toEqual(['npm ci --ignore-scripts --no-audit --no-fund'])
  })

  it('runs without root, with source maps and a health check, and copies no file with a key', () => {
    const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM'))
    expect(last).toMatch(/^USER node$/m)
    expect(last).toMatch(/^HEALTHCHECK .*CMD \["node", "healthcheck.ts"\]$/m)
    expect(last).toMatch(/^ENTRYPOINT \["node", "--enable-source-maps", "main.ts"\]$/m)
    expect(read('examples/proxy/Dockerfile.dockerignore').split('\n')).toContain('**/.env')
  })
})

describe('the health check', () => {
  it.each([
    ['0 while the proxy lives', '', 0],
    ['1 if nothing listens under its base path', '/other', 1],
  ])('exits with %s', async (_, basePath, code) => {
    const { url } = await startProxy({ source: singleEngine(await startEngine()) })
    const env = { ACEXY_LISTEN_ADDR: `:${new URL(url).port}`, ACEXY_BASE_PATH: basePath }
    expect(await startExample('proxy/healthcheck.ts', [], env).exit).toBe(code)
  })
})

describe('a variable of the Go proxy without effect', () => {
  it('is named in the log, so that nobody waits for its effect', () => {
    expect(variablesWithoutEffect({ ACEXY_BUFFER_SIZE: '4MB', ACEXY_BUFFER: '', ACEXY_PORT: '1' })).toEqual(['ACEXY_BUFFER_SIZE'])
  })
})
