import assert from 'node:assert/strict'
import * as library from 'acestream-orchestrator-client'
import { SqliteStore } from 'acestream-orchestrator-client/sqlite'
import * as kit from 'acestream-orchestrator-client/testing'
import Keyv from 'keyv'
import * as mswForNode from 'msw/node'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { ROUTES } from '../../src/orchestrator/routes.ts'
import { ROUTE_LABELS } from '../../src/testing/routing.ts'
import { copyAsIs, newPath } from '../state/sqlite/files.ts'
import { playback } from '../support/setup.ts'
import { fencedBlocks } from './code-blocks.ts'
import { membersOf, signaturesOf } from './declarations.ts'
import { codeSpans, read } from './pages.ts'
import { runBlock } from './run-block.ts'
import { tablesOf } from './tables.ts'

// The store of the examples opens a file for each rule: without threads this is fast.
vi.mock(import('node:worker_threads'), async (original) => (await import('../state/sqlite/without-threads.ts')).withoutThreads(original))

const PAGE = 'docs/testing.md'
const text = read(PAGE)
const tables = tablesOf(text)

/** All inline code in `column` of the tables under `heading` whose first column is `first`. */
function codeIn(heading: string, first: string, column = first): string[] {
  const rows = tables.filter(({ under, columns }) => under.at(-1) === heading && columns[0] === first).flatMap((table) => table.rows)
  return rows.flatMap((row) => codeSpans(row[column] ?? '')).sort()
}

const once = (names: readonly string[]): string[] => [...new Set(names)].sort()

describe('the page about testing', () => {
  it('names each export of the kit, and no other', () => {
    expect(codeIn('Testing a proxy', 'part')).toEqual(once(Object.keys(kit)))
  })

  it('describes each option and each member of the fake orchestrator, and no other', () => {
    expect(codeIn('FakeOrchestrator', 'option')).toEqual(once(membersOf('FakeOrchestratorOptions')))
    expect(codeIn('FakeOrchestrator', 'member')).toEqual(once(signaturesOf('FakeOrchestrator')))
  })

  it('describes each counter, and no other', () => {
    expect(codeIn('FakeOrchestrator', 'counter')).toEqual(once(membersOf('FakeCounters')))
  })

  it('names each setting that setProvisioning() can change, and no other', () => {
    const row = tables.flatMap(({ rows }) => rows).find(({ member }) => member === '`setProvisioning(change)`')
    expect(codeSpans(row?.['what it does'] ?? '').sort()).toEqual(once([...membersOf('FakeProvisioning'), 'maxReplicas']))
  })

  it('describes each kind and each field of a fault, and no other', () => {
    expect(codeIn('Faults', 'kind')).toEqual(once(kit.FAULT_KINDS))
    expect(codeIn('Faults', 'field')).toEqual(once(membersOf('Fault')))
  })

  it('describes each member of the manual clock, and no other', () => {
    expect(codeIn('ManualClock', 'member')).toEqual(once(signaturesOf('ManualClock')))
  })

  it('describes each function for ports with its factory and its options, and no other', () => {
    const functions = Object.keys(kit).filter((name) => name.startsWith('describe'))
    expect(codeIn('A port of your own', 'function')).toEqual(once(functions.map((name) => `${name}(factory, options?)`)))
    const factories = codeIn('A port of your own', 'function', 'the factory returns')
    const objects = ['StoreUnderTest', 'TransportUnderTest', 'ClockUnderTest', 'CacheUnderTest'].map(
      (type) => `{ ${membersOf(type).join(', ')} }`,
    )
    expect(factories).toEqual(once(objects))
    const own = ['durable', 'shared', 'outage']
    expect(codeIn('A store of your own', 'option')).toEqual(once(own))
    expect(membersOf('DescribeStateStoreOptions').sort()).toEqual(once([...own, ...membersOf('DescribePortOptions')]))
  })

  it('names only routes that exist', () => {
    const known = [...ROUTE_LABELS, ...Object.values(ROUTES).map(({ route }) => route)]
    const named = [...text.matchAll(/\b(?:GET|POST|DELETE) \/[\w/{}-]+/g)].map(([route]) => route)
    expect(named.length).toBeGreaterThan(2)
    expect(named.filter((route) => !known.includes(route))).toEqual([])
  })
})

/** The disk and the store that the examples use. */
class TemporaryDisk {
  path = newPath()
  copyAsIs(): void {
    this.path = copyAsIs(this.path)
  }
}
class MyStore extends SqliteStore {
  constructor({ path }: TemporaryDisk) {
    super({ path })
    onTestFinished(() => this.close())
  }
}

async function serveViewer(client: library.OrchestratorClient): Promise<void> {
  const lease = await client.acquireEngine()
  const stream = await lease.startStream(playback())
  await stream.end('finished')
}

/** Runs a block of the page with a test runner that collects its tests, then runs these. Resolves with the lines that it logged. */
async function runAsReader(block: ReturnType<typeof fencedBlocks>[number]): Promise<{ tests: number; lines: string[] }> {
  const tests: (() => unknown)[] = []
  const lines: string[] = []
  const declare = (_: string, run: () => unknown): void => void tests.push(run)
  await runBlock(block, {
    modules: {
      'acestream-orchestrator-client': library,
      'acestream-orchestrator-client/testing': kit,
      'node:assert/strict': assert,
      'node:test': { test: declare, it: declare, describe: (_: string, body: () => void) => body() },
      'msw/node': mswForNode,
      keyv: Keyv,
    },
    globals: {
      serveViewer,
      MyStore,
      TemporaryDisk,
      baseUrl: 'http://orchestrator.test',
      console: { log: (line: unknown) => lines.push(String(line)) },
    },
  })
  for (const run of tests) await run()
  return { tests: tests.length, lines }
}

const blocks = fencedBlocks({ path: PAGE, text }).filter(({ language }) => language === 'ts')

describe('an example of the page about testing', () => {
  it.each(blocks.map((block) => [`line ${block.line}`, block] as const))(
    'logs exactly the lines that its comments announce: %s',
    async (_, block) => {
      const { tests, lines } = await runAsReader(block)
      const announced = [...block.code.matchAll(/^ *console\.log\(.*\) \/\/ (.+)$/gm)].map(([, line]) => line)
      expect(lines).toEqual(announced)
      expect(tests > 0).toBe(/from 'node:test'/.test(block.code))
    },
  )

  it('fails if a stream is still live at its end', async () => {
    const [first] = blocks
    if (first === undefined) throw new Error(`${PAGE} has no example`)
    const wrong = first.code.replace('fake.liveStreamIds(), []', "[...fake.liveStreamIds(), 'left behind'], []")
    expect(wrong).not.toBe(first.code)
    await expect(runAsReader({ ...first, code: wrong })).rejects.toThrow(assert.AssertionError)
  })
})
