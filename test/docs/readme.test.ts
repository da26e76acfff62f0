import { readFileSync } from 'node:fs'
import * as library from 'acestream-orchestrator-client'
import { FAULT_KINDS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { DEFAULTS } from '../../src/options.ts'

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const readme = read('README.md')

describe('the README', () => {
  it('names every default as it is', () => {
    for (const [name, value] of Object.entries(DEFAULTS)) {
      if (typeof value !== 'number' || ['waitMs', 'closeTimeoutMs'].includes(name)) continue
      const row = readme.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``))
      expect(row, name).toContain(value.toLocaleString('en'))
    }
  })

  it('names every error that is exported', () => {
    const errors = Object.keys(library).filter((name) => name.endsWith('Error'))
    expect(errors.length).toBeGreaterThan(8)
    for (const name of errors) expect(readme).toContain(`\`${name}\``)
  })

  it('names every event there is', () => {
    const events = [...read('src/telemetry/events.ts').matchAll(/^ {2}'([a-z-]+:[a-z-]+)'/gm)].map(([, name]) => name)
    expect(events).toHaveLength(19)
    for (const name of events) expect(readme).toContain(`\`${name}\``)
  })

  it('names every fault of the test kit', () => {
    for (const kind of FAULT_KINDS) expect(readme).toContain(`\`${kind}\``)
  })

  it('links to files that are there', () => {
    const links = [...readme.matchAll(/\]\((?!https?:)([^)#]+)/g)].map(([, path]) => path ?? '')
    expect(links.length).toBeGreaterThan(3)
    for (const path of links)
      expect(() => readFileSync(new URL(`../../${path.replace(/\/$/, '/README.md')}`, import.meta.url))).not.toThrow()
  })

  it('shows commands that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    for (const [, name] of readme.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toHaveProperty(name ?? '')
  })
})
