import { InvalidArgumentError } from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { loadMsw } from '../../src/testing/msw.ts'

const installed = (version: string) => (name: string) => (name === 'msw' ? { http: version } : { version })

describe('the check of the installed msw release', () => {
  it.each(['2.15.0', '1.3.5', '0.49.3'])('rejects msw %s, and names the required release', (version) => {
    const load = () => loadMsw(installed(version))
    expect(load).toThrow(InvalidArgumentError)
    expect(load).toThrow(`msw: expected release 3 to be installed (npm install --save-dev msw@3); found ${version}`)
  })

  it('says how to install msw if it is missing', () => {
    const missing = new Error("Cannot find module 'msw/package.json'")
    const load = () =>
      loadMsw(() => {
        throw missing
      })
    expect(load).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', argument: 'msw', cause: missing }))
    expect(load).toThrow('npm install --save-dev msw@3); found none')
  })

  it.each(['3.0.5', '3.1.0-beta.1', '10.0.0'])('accepts msw %s', (version) => {
    expect(loadMsw(installed(version))).toEqual({ http: version })
  })
})
