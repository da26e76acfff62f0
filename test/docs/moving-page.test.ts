import { describe, expect, it } from 'vitest'
import { type Environment, readConfig, variablesWithoutEffect } from '../../examples/proxy/config.ts'
import { readOptions } from '../../src/options/environment.ts'
import { fencedBlocks } from './code-blocks.ts'
import { read } from './pages.ts'
import { tablesOf } from './tables.ts'

const PAGE = read('docs/moving-from-go.md')
const service = fencedBlocks({ path: '', text: PAGE }).find(({ language }) => language === 'yaml')?.code ?? ''
const settings: Environment = Object.fromEntries(
  [...service.matchAll(/^ +(ACEXY_\w+): "?([^"\n]*)"?$/gm)].map(([, name = '', value]) => [name, value]),
)
const variables = tablesOf(PAGE).find(({ columns }) => columns[0] === 'variable of the Go proxy')?.rows ?? []
const namesIn = (text = ''): string[] => text.match(/\bACEXY_[A-Z\d_]*[A-Z\d]/g) ?? []

describe('the page for users of the Go client', () => {
  it('shows a service whose settings the reference proxy accepts, and that it may finish before it is killed', () => {
    expect(Object.keys(settings)).toContain('ACEXY_ORCH_URL')
    const graceS = Number(/stop_grace_period: (\d+)s/.exec(service)?.[1])
    expect(graceS * 1_000).toBeGreaterThan(readConfig(settings).shutdownTimeoutMs)
    expect(readOptions(settings, {})).toMatchObject({ baseUrl: 'http://orchestrator:8000', maxStreamsPerEngine: 2 })
  })

  it('names each variable of the Go proxy that the reference proxy knows', () => {
    const [, table = ''] = read('examples/proxy/README.md').split('Those of the Go proxy have the same meaning.')
    const known = namesIn(table.split('Only this proxy has:')[0]).filter((name) => name !== 'ACEXY_ORCH')
    expect(known.length).toBeGreaterThan(10)
    const named = variables.flatMap((row) => namesIn(row['variable of the Go proxy']))
    expect(known.filter((name) => !named.includes(name))).toEqual([])
  })

  it('names as variables without effect exactly those that the reference proxy names in its log', () => {
    const named = variables
      .filter((row) => row['the reference proxy']?.startsWith('no effect, named in the log'))
      .flatMap((row) => namesIn(row['variable of the Go proxy']))
    const all = namesIn(PAGE + read('examples/proxy/README.md'))
    expect(variablesWithoutEffect(Object.fromEntries(all.map((name) => [name, '1']))).toSorted()).toEqual(named.toSorted())
  })

  it('names each variable that fromEnv() reads', () => {
    const optionsFrom = (names: readonly string[]) =>
      Object.keys(
        readOptions(Object.fromEntries(names.map((name) => [name, name.endsWith('_URL') ? 'http://orchestrator' : '1'])), {}) ?? {},
      )
    const named = variables
      .filter((row) => /fromEnv|proxyId/.test(row['the library'] ?? ''))
      .flatMap((row) => namesIn(row['variable of the Go proxy']))
    expect(named).toHaveLength(4)
    expect(optionsFrom(named).toSorted()).toEqual(['apiKey', 'baseUrl', 'maxStreamsPerEngine', 'proxyId'])
  })
})
