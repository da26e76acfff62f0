import { readFileSync } from 'node:fs'
import { createContext, runInContext } from 'node:vm'
import { transformSync } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { SUPPORTED } from '../runtimes/names.ts'

const source = readFileSync(new URL('../../src/runtime/supported.ts', import.meta.url), 'utf8')
const script = transformSync(source, { loader: 'ts', format: 'iife' }).code

/** Evaluates the check on a platform that has the language, and these globals. Returns the message of its error. */
function checkOn(globals: Record<string, unknown>, setup = ''): string | undefined {
  const context = createContext({ URL, ...globals })
  try {
    runInContext(`${setup};${script}`, context)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

const processWith = (versions: Record<string, string>) => ({ process: { versions } })
const WITHOUT_RESOLVERS = 'delete Promise.withResolvers'
const ADVICE = 'install Node 22.13 or newer, or a current Bun or Deno, and start this program with it'

describe('an import of the package', () => {
  it('succeeds on a platform that has what the package needs, whatever its version and its name are', () => {
    expect(checkOn(processWith({ node: '20.0.0' }))).toBeUndefined()
    expect(checkOn({ process: undefined })).toBeUndefined()
    expect(checkOn({ process: {} })).toBeUndefined()
    expect(checkOn({})).toBeUndefined()
  })

  it('says on an older runtime what runs, what is missing there, and what to do', () => {
    const sentence = (runtime: string, missing: string) =>
      `acestream-orchestrator-client cannot run on ${runtime}, which has no ${missing}: ${ADVICE}`
    expect(checkOn(processWith({ node: '20.20.2' }), WITHOUT_RESOLVERS)).toBe(sentence('Node 20.20.2', 'Promise.withResolvers'))
    expect(checkOn({ ...processWith({ node: '22.0.0' }), URL: class {} })).toBe(sentence('Node 22.0.0', 'URL.parse'))
    expect(checkOn({ ...processWith({ node: '20.8.0', bun: '1.1.0' }), URL: class {} })).toBe(sentence('Bun 1.1.0', 'URL.parse'))
    expect(checkOn(processWith({ node: '20.8.0', deno: '1.37.0' }), WITHOUT_RESOLVERS)).toBe(
      sentence('Deno 1.37.0', 'Promise.withResolvers'),
    )
    expect(checkOn({}, WITHOUT_RESOLVERS)).toBe(sentence('this runtime', 'Promise.withResolvers'))
  })

  it('names the oldest Node that package.json allows, which the tests of the runtimes run', () => {
    const manifestAt = (path: string) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))
    const { engines } = manifestAt('../../package.json') as { engines: { node: string } }
    const { dependencies } = manifestAt('../runtimes/package.json') as { dependencies: Record<string, string> }
    expect(ADVICE).toContain(`Node ${engines.node.replace('>=', '')} or newer`)
    expect(dependencies[SUPPORTED[0] ?? '']).toBe(`npm:node@${engines.node.replace('>=', '')}.0`)
  })

  it('changes nothing global', () => {
    const before = Reflect.ownKeys(runInContext('globalThis', createContext({ URL })))
    const context = createContext({ URL })
    runInContext(script, context)
    expect(Reflect.ownKeys(runInContext('globalThis', context))).toEqual(before)
  })
})
