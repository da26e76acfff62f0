import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
import { beforeAll, expect, it } from 'vitest'
import { run } from '../../src/cli/run.ts'
import { loadChunks } from '../../src/runtime/chunk.ts'

const TO_TOP = '\u001b[H\u001b[J'

beforeAll(loadChunks)

/** Runs `watch` until it is stopped. Collects what it writes. */
function start(args: readonly string[], io: { isTerminal?: boolean; readonly size?: { rows: number; columns: number } } = {}) {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ engines: [{ containerId: 'one' }, { containerId: 'two' }], clock })
  const written: string[] = []
  const interrupted = new AbortController()
  const ended = run({
    args: ['watch', '--url', 'http://orchestrator.test', ...args],
    version: '0',
    env: {},
    isTerminal: io.isTerminal ?? false,
    get rows() {
      return io.size?.rows
    },
    get columns() {
      return io.size?.columns
    },
    clock,
    signal: interrupted.signal,
    overrides: { transport: fake, apiKey: fake.apiKey },
    write: (text) => void written.push(text),
    writeError: (text) => void written.push(`error: ${text}`),
  })
  return { clock, fake, written, ended, interrupt: () => interrupted.abort(new Error('interrupted')) }
}

it('watch writes one line each time without a terminal, until it is interrupted', async () => {
  const { clock, fake, written, ended, interrupt } = start(['--interval', '10'])
  await clock.advance(0)
  fake.startElsewhere({ containerId: 'one' })
  await clock.advance(10_000)
  expect(written.map((line) => line.replace(/^\S+ {2}/, ''))).toEqual([
    '2 engines (2 healthy, 0 full), 0 streams\n',
    '2 engines (2 healthy, 1 full), 1 stream\n',
  ])
  interrupt()
  expect(await ended).toBe(0)
  await clock.advance(60_000)
  expect(written).toHaveLength(2)
})

it('watch writes one object a line with --json', async () => {
  const { clock, written, ended } = start(['--json', '--count', '2'])
  await clock.advance(2_000)
  expect(await ended).toBe(0)
  expect(written.map((line) => JSON.parse(line))).toMatchObject([
    { engines: [{}, {}], streams: [] },
    { engines: [{}, {}], streams: [] },
  ])
  expect(written.every((line) => line.indexOf('\n') === line.length - 1)).toBe(true)
})

it('watch names the option --timeout if an answer takes too long', async () => {
  const { clock, fake, written, ended } = start(['--count', '1', '--timeout', '500'])
  fake.latencyMs = 1_000
  await clock.advance(500)
  expect(await ended).toBe(1)
  expect(written[0]).toMatch(/no complete answer within 500 ms \(--timeout\)\n$/)
})

it('watch draws in place on a terminal, on a screen of its own that it leaves at the end', async () => {
  const { clock, written, ended, interrupt } = start([], { isTerminal: true })
  await clock.advance(4_000)
  interrupt()
  expect(await ended).toBe(0)
  const [first, ...looks] = written
  const last = looks.pop()
  expect(first).toBe('\u001b[?1049h\u001b[?25l')
  expect(last).toBe('\u001b[?25h\u001b[?1049l')
  expect(looks).toHaveLength(3)
  for (const look of looks) {
    expect(look.startsWith(TO_TOP)).toBe(true)
    expect(look).toContain('one')
  }
})

it('watch draws no more lines than the terminal has', async () => {
  const { clock, written, ended } = start(['--count', '1'], { isTerminal: true, size: { rows: 5, columns: 80 } })
  await clock.advance(0)
  await ended
  expect(written[1]?.split('\n').length).toBeLessThanOrEqual(5)
})

it('watch draws for the size that the terminal has at each look', async () => {
  const size = { rows: 24, columns: 80 }
  const { clock, written, ended } = start(['--count', '2'], { isTerminal: true, size })
  await clock.advance(0)
  Object.assign(size, { rows: 6, columns: 40 })
  await clock.advance(2_000)
  await ended
  expect(written[1]?.split('\n').length).toBeGreaterThan(6)
  const look = written[2]?.slice(TO_TOP.length).split('\n') ?? []
  expect(look.length).toBeLessThanOrEqual(6)
  const heading = look.find((line) => line.includes('ENGINE'))
  expect(heading?.replaceAll(/\p{Cc}\[\d+m/gu, '').length).toBeLessThanOrEqual(40)
})

it('watch goes on while the orchestrator fails, and exits with 1 if the last look failed', async () => {
  const { clock, fake, written, ended } = start(['--count', '3'])
  await clock.advance(0)
  fake.inject({ kind: 'refused', times: 1_000 })
  await clock.advance(2_000)
  fake.clearFaults()
  await clock.advance(1_000)
  fake.inject({ kind: 'refused', times: 1_000 })
  await clock.advance(1_000)
  expect(await ended).toBe(1)
  expect(written).toHaveLength(3)
  expect(written[1]).toMatch(/^\S+ {2}GET http:\/\/orchestrator.test\/\S+ .*refused/)
})
