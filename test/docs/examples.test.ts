import * as main from 'acestream-orchestrator-client'
import * as otel from 'acestream-orchestrator-client/otel'
import * as prometheus from 'acestream-orchestrator-client/prometheus'
import * as redis from 'acestream-orchestrator-client/redis'
import * as sqlite from 'acestream-orchestrator-client/sqlite'
import * as testing from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { ENTRY_POINTS } from '../../scripts/docs/contents.ts'
import { docCommentBlocks } from './code-blocks.ts'
import { hasExample, methodsOf } from './declarations.ts'
import { read } from './pages.ts'

const EXPORTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'acestream-orchestrator-client': main,
  'acestream-orchestrator-client/sqlite': sqlite,
  'acestream-orchestrator-client/redis': redis,
  'acestream-orchestrator-client/otel': otel,
  'acestream-orchestrator-client/prometheus': prometheus,
  'acestream-orchestrator-client/testing': testing,
}

/** Methods of the client that need no example of their own, since that of another method shows how to call them. */
const LIKE_ANOTHER = ['once', 'off', 'sweep']

/** Classes and functions that an entry point exports. The errors are left out: `OrchestratorError` has the example for all of them. */
function callable(exported: Readonly<Record<string, unknown>>): string[] {
  const isError = (value: unknown): boolean => typeof value === 'function' && value.prototype instanceof Error
  return Object.keys(exported).filter((name) => typeof exported[name] === 'function' && !isError(exported[name]))
}

describe('an example in the doc comments', () => {
  it('is there for each entry point of the package', () => {
    expect(Object.keys(ENTRY_POINTS)).toEqual(Object.keys(EXPORTS))
    const { exports } = JSON.parse(read('package.json')) as { exports: Record<string, object | string> }
    const published = Object.keys(exports).filter((name) => typeof exports[name] === 'object')
    expect(Object.keys(ENTRY_POINTS).sort()).toEqual(published.map((name) => name.replace('.', 'acestream-orchestrator-client')).sort())
  })

  it.each(Object.entries(ENTRY_POINTS))('shows how to import %s', (name, file) => {
    const [comment = ''] = /^\/\*\*[\s\S]*?\*\//.exec(read(file)) ?? []
    const examples = docCommentBlocks({ path: file, text: comment }).map(({ code }) => code)
    expect(examples).toHaveLength(1)
    expect(examples[0]).toContain(` from '${name}'`)
    expect(comment).toContain(`@module ${name}\n`)
  })

  it.each(Object.entries(EXPORTS))('is there for each class and function of %s', (_, exported) => {
    const names = callable(exported)
    expect(names.length).toBeGreaterThan(0)
    expect(names.filter((name) => !hasExample(name))).toEqual([])
  })

  it('is there for each method of the client', () => {
    const methods = methodsOf('OrchestratorClient')
    expect(methods.map(([name]) => name)).toEqual(expect.arrayContaining(['acquireEngine', 'fromEnv', 'diagnose', ...LIKE_ANOTHER]))
    const without = methods.filter(([, documented]) => !documented).map(([name]) => name)
    expect(without.filter((name) => !LIKE_ANOTHER.includes(name))).toEqual([])
  })

  it('is there for the base of all errors', () => {
    expect(hasExample('OrchestratorError')).toBe(true)
  })
})
