import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readTrace, toReplay } from '../../examples/demo/trace.ts'
import { isNode22, isWindows } from '../support/platform.ts'
import { startExample } from './processes.ts'
import { eventually } from './stage.ts'

const TRACE = new URL('../../examples/traces/proxy-2025-10-12.jsonl', import.meta.url)
const CONTENT = 'a'.repeat(40)
const OTHER = 'b'.repeat(40)

const TINY = [
  { t: 1_000, event: 'selected' },
  { t: 1_300, event: 'stream_started', content: CONTENT },
  { t: 1_400, event: 'selected' },
  { t: 1_500, event: 'stream_started', content: OTHER },
  { t: 9_000, event: 'stream_done', content: CONTENT },
  { t: 9_100, event: 'selected' },
  { t: 9_200, event: 'stream_started', content: CONTENT },
]

describe('the replay of a trace', () => {
  it('lets a viewer arrive with each selection, and leave when its stream is done', () => {
    const { viewers } = toReplay(TINY, 1)
    expect(viewers.map(({ arrivesAt, leavesAt }) => [arrivesAt, leavesAt])).toEqual([
      [0, 1_500],
      [400, undefined],
      [1_600, undefined],
    ])
  })

  it('cuts long gaps, keeps the proportion of short ones, and divides all times by the speed', () => {
    expect(toReplay(TINY, 2).viewers.map(({ arrivesAt }) => arrivesAt)).toEqual([0, 200, 800])
    expect(toReplay(TINY, 2).durationMs).toBe(850)
  })

  it('lets viewers play the same content if they did so in the trace', async () => {
    const { viewers } = toReplay(TINY, 1)
    expect(viewers.map(({ infohash }) => infohash)).toEqual([CONTENT, OTHER, CONTENT])
    const recorded = await readTrace(fileURLToPath(TRACE), 4)
    expect(recorded.viewers).toHaveLength(63)
    expect(new Set(recorded.viewers.map(({ infohash }) => infohash)).size).toBe(54)
  })

  it('uses the recorded trace of 183 rows', async () => {
    expect((await readFile(TRACE, 'utf8')).trim().split('\n')).toHaveLength(183)
  })
})

describe.skipIf(isNode22)('the demo', () => {
  // It stops its proxy with SIGTERM.
  it.skipIf(isWindows).each(['2025-10', '2026-04', 'v1'])(
    'keeps every promise on a fake %s orchestrator, and exits with 0',
    async (generation) => {
      const { exit, output } = startExample('demo/main.ts', ['--trace', await tinyTrace(), '--speed', '5', '--generation', generation])
      expect(await exit, output()).toBe(0)
      expect(output()).toContain('Every promise was kept.')
      expect(output()).toContain('3 came, 3 served')
    },
  )

  it('exits with 1 if a promise is broken, and names the promise', async () => {
    const { exit, output } = startExample('demo/main.ts', ['--trace', await tinyTrace(), '--speed', '5', '--checked-limit', '0'])
    expect(await exit, output()).toBe(1)
    expect(output()).toContain('BROKEN: no engine had more than 0 streams (most: 1')
  })

  it.skipIf(isWindows)(
    'prints the address of the status page, keeps it open with --keep until Ctrl-C, and ends with the verdict',
    async () => {
      const { child, exit, output } = startExample('demo/main.ts', ['--trace', await tinyTrace(), '--speed', '5', '--keep'])
      await eventually(() => expect(output()).toContain('The status page stays open'))
      const [, address = ''] = /its status page: (\S+)/.exec(output()) ?? []
      const page = await (await fetch(address)).text()
      expect(page).toContain('<h1>AceStream proxy</h1>')
      expect(page).toMatch(/class="slot own"/)
      child.kill('SIGINT')
      expect(await exit, output()).toBe(0)
      expect(output()).toContain('Every promise was kept.')
    },
  )

  it.each([['--rush'], ['--crowd']])('rejects %s together with --url and exits with 2', async (option) => {
    const { exit, output } = startExample('demo/main.ts', [option, '--url', 'http://orchestrator'])
    expect(await exit).toBe(2)
    expect(output()).toContain(option)
  })

  it('rejects --rush together with --crowd and exits with 2', async () => {
    const { exit, output } = startExample('demo/main.ts', ['--rush', '--crowd'])
    expect(await exit).toBe(2)
    expect(output()).toContain('--rush')
  })

  it.each([['--speed', 'fast'], ['--generation', 'v3'], ['--trace', '/nowhere'], ['--url', 'orchestrator'], ['--nonsense']])(
    'exits with 2 for the invalid argument %s %s',
    async (...args) => {
      const { exit, output } = startExample('demo/main.ts', args)
      expect(await exit).toBe(2)
      expect(output()).toContain(args[0])
    },
  )
})

async function tinyTrace(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'trace-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const file = join(directory, 'tiny.jsonl')
  await writeFile(file, `${TINY.map((row) => JSON.stringify(row)).join('\n')}\n`)
  return file
}
