import * as library from 'acestream-orchestrator-client'
import { FAULT_KINDS } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { CLIENT_OPTION_NAMES, DEFAULTS } from '../../src/options.ts'
import { CLIENT_EVENT_NAMES } from '../../src/telemetry/events.ts'
import { read } from './pages.ts'

const readme = read('README.md')

describe('the README', () => {
  it('names every default as it is', () => {
    for (const [name, value] of Object.entries(DEFAULTS)) {
      if (typeof value !== 'number' || ['waitMs', 'closeTimeoutMs'].includes(name)) continue
      const row = readme.split('\n').find((line) => line.startsWith('|') && line.includes(`\`${name}\``))
      expect(row, name).toContain(value.toLocaleString('en'))
    }
  })

  it('names every option there is', () => {
    for (const name of Object.keys(CLIENT_OPTION_NAMES)) expect(readme).toContain(`\`${name}\``)
  })

  it('names every error that is exported', () => {
    const errors = Object.keys(library).filter((name) => name.endsWith('Error'))
    expect(errors.length).toBeGreaterThan(8)
    for (const name of errors) expect(readme).toContain(`\`${name}\``)
  })

  it('names every event there is', () => {
    expect(CLIENT_EVENT_NAMES.length).toBeGreaterThan(8)
    for (const name of CLIENT_EVENT_NAMES) expect(readme).toContain(`\`${name}\``)
  })

  it('names every fault of the test kit', () => {
    for (const kind of FAULT_KINDS) expect(readme).toContain(`\`${kind}\``)
  })
})
