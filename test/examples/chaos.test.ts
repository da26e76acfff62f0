import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { type ChaosOutcome, chaosVerdict, type Report } from '../../examples/demo/chaos-verdict.ts'
import { RequestFaults } from '../../examples/demo/request-faults.ts'
import type { InsideView } from '../../examples/demo/world.ts'
import { isNode22 } from '../support/platform.ts'
import { startExample } from './processes.ts'

describe.skipIf(isNode22)('the demo with --chaos', () => {
  it.each([['--url', 'http://orchestrator'], ['--rush'], ['--crowd']])(
    'rejects %s: names the conflict and exits with 2',
    async (...args) => {
      const { exit, output } = startExample('demo/main.ts', ['--chaos', ...args])
      expect(await exit).toBe(2)
      expect(output()).toContain(
        '--chaos: breaks a fake orchestrator while a trace is replayed; leave --url, --rush and --crowd out; see --help',
      )
    },
  )

  it.each(['x', '-1', '1.5'])('rejects the seed %s and exits with 2', async (seed) => {
    const { exit, output } = startExample('demo/main.ts', ['--chaos', `--seed=${seed}`])
    expect(await exit).toBe(2)
    expect(output()).toContain('--seed')
  })
})

const VIEWER: Report = { state: 'served', reason: '', bytes: 1, refusals: 0, engineFailures: 0, wrongCuts: [], recovery: undefined }
/** One of the starts is of the other stream. The restart forgot its stream and one of the proxy. */
const INSIDE: InsideView = {
  startsApplied: 4,
  endsApplied: 2,
  loadPeak: 2,
  enginePeak: 2,
  sessionsLeft: 1,
  sessionsOpened: 9,
  innocentsEnded: 0,
}

function outcome(changes: Partial<ChaosOutcome>, events: object = {}): ChaosOutcome {
  const metrics = { events: { misapplied: 0, undeliverable: 0, ...events } }
  return {
    viewers: [VIEWER],
    limit: 2,
    inside: INSIDE,
    proxy: { exitCode: 0, tookMs: 1, metrics, report: { undelivered: [], viewersJoined: 9 } } as unknown as ChaosOutcome['proxy'],
    chaos: { hits: new Map([['reset', 1]]), stalled: 1, refused: 1, forgotten: ['other-stream', 'proxy'] },
    recoveredAfterMs: 0,
    pending: 0,
    notWatching: 0,
    isOtherStreamAlive: true,
    left: [],
    ...changes,
  }
}

function inside(changes: InsideView): Partial<ChaosOutcome> {
  return { inside: { ...INSIDE, ...changes } }
}

function viewer(changes: Partial<Report>): Partial<ChaosOutcome> {
  return { viewers: [VIEWER, { ...VIEWER, ...changes }] }
}

describe('the verdict of the demo with --chaos', () => {
  it('says that every promise was kept if each started stream was ended or forgotten', () => {
    const { lines, isKept } = chaosVerdict(outcome({}))
    expect(isKept, lines.join('\n')).toBe(true)
    expect(lines.at(-1)).toBe('Every promise was kept.')
  })

  it('tells viewers, sessions, and the slots that sharing saved', () => {
    expect(chaosVerdict(outcome({})).lines).toContain('sessions  7 opened for 9 viewers who joined them: 2 slots saved')
  })

  it.each<[string, Partial<ChaosOutcome>]>([
    ['the orchestrator failed in every way (3 of 4)', { chaos: { ...outcome({}).chaos, stalled: 0 } }],
    ['no engine had more than 2 streams (most: 3', inside({ loadPeak: 3 })],
    ['no engine had more than 2 sessions open (most: 3', inside({ enginePeak: 3 })],
    ['every viewer got bytes, or a Retry-After (1 did not)', viewer({ state: 'failed', reason: 'socket hang up' })],
    ['no viewer of a healthy engine was cut off (1, cut off)', viewer({ wrongCuts: ['cut off'] })],
    ['every viewer of a replaced engine got bytes again (1 did not)', viewer({ recovery: { kind: 'none', gapMs: 0 } })],
    ['after the failures every remaining viewer was watching (1 were not)', { notWatching: 1 }],
    ['every event was delivered (1 pending before the shutdown, 0 after)', { pending: 1 }],
    ['every stream that was started was ended, or forgotten by the restart (4 starts, 1 ends, 2 forgotten)', inside({ endsApplied: 1 })],
    ['every stream that was started was ended, or forgotten by the restart (4 starts, 3 ends, 2 forgotten)', inside({ endsApplied: 3 })],
    ['no event was applied twice (1 starts and 0 ends were)', inside({ startsApplied: 5, repeatedStarts: 1 })],
    ['no event was applied twice (0 starts and 1 ends were)', inside({ repeatedEnds: 1 })],
    ['no start named an engine that had vanished (1 did)', inside({ enginesInvented: 1 })],
    ['no stream was ended by a request for another stream (1 were)', inside({ innocentsEnded: 1 })],
    ['the stream of another proxy was not ended', { isOtherStreamAlive: false }],
    ['nothing was left behind (1 streams, 0 sessions)', { left: ['proxy'] }],
    ['nothing was left behind (0 streams, 1 sessions)', inside({ sessionsLeft: 2 })],
    ['the proxy exited with 0 after SIGTERM (exited with 1)', { proxy: { ...outcome({}).proxy, exitCode: 1 } }],
    ['no event was undeliverable (1 were)', { proxy: outcome({}, { undeliverable: 1 }).proxy }],
    ['no stream was ended by a request for another stream (0 were)', { proxy: outcome({}, { misapplied: 1 }).proxy }],
    [
      'every event was delivered (0 pending before the shutdown, 1 after)',
      { proxy: { ...outcome({}).proxy, report: { undelivered: ['one'] } } },
    ],
  ])('says that a promise was broken: %s', (text, changes) => {
    const { lines, isKept } = chaosVerdict(outcome(changes))
    expect(isKept).toBe(false)
    expect(lines.at(-1)).toContain(`BROKEN: ${text}`)
    expect(lines.at(-1)).not.toContain(';')
  })
})

describe('the faults that the demo with --chaos chooses for requests', () => {
  it('hit at least one in four requests, each kind equally often, and the same requests again with the same seed', () => {
    const choose = (): (string | undefined)[] => {
      const faults = new RequestFaults([{ kind: 'reset' }, { kind: 'lost-answer' }], seededRandom(1))
      const chosen = Array.from({ length: 100 }, () => faults.next()?.kind)
      const counts = [...faults.hits.values()]
      expect(Math.abs((counts[0] ?? 0) - (counts[1] ?? 0))).toBeLessThanOrEqual(1)
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(chosen.filter((kind) => kind !== undefined).length)
      return chosen
    }
    const chosen = choose()
    for (let from = 0; from <= 96; from++) expect(chosen.slice(from, from + 4).some((kind) => kind !== undefined)).toBe(true)
    expect(chosen.filter((kind) => kind !== undefined).length).toBeLessThan(60)
    expect(choose()).toEqual(chosen)
  })
})
