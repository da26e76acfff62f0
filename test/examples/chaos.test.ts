import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { type ChaosOutcome, chaosVerdict, type Report } from '../../examples/demo/chaos-verdict.ts'
import { RequestFaults } from '../../examples/demo/request-faults.ts'
import type { InsideView } from '../../examples/demo/world.ts'
import { startExample } from './processes.ts'

describe('the demo with --chaos', () => {
  it.each([
    ['a real orchestrator', '--url', 'http://orchestrator'],
    ['a rush', '--rush'],
  ])('does not take %s: says so, and exits with 2', async (_, ...args) => {
    const { exit, output } = startExample('demo/main.ts', ['--chaos', ...args])
    expect(await exit).toBe(2)
    expect(output()).toContain('--chaos: breaks a fake orchestrator while a trace is replayed; leave --url and --rush out; see --help')
  })

  it.each(['x', '-1', '1.5'])('takes no seed %s: exits with 2', async (seed) => {
    const { exit, output } = startExample('demo/main.ts', ['--chaos', `--seed=${seed}`])
    expect(await exit).toBe(2)
    expect(output()).toContain('--seed')
  })
})

const VIEWER: Report = { state: 'served', reason: '', bytes: 1, refusals: 0, engineFailures: 0, wrongs: [], fate: undefined }
/** The bystander's start is one of the starts; it was forgotten with one of ours. */
const INSIDE: InsideView = { startsApplied: 4, endsApplied: 2, loadPeak: 2, enginePeak: 2, sessionsLeft: 1, innocentsEnded: 0 }

function outcome(changes: Partial<ChaosOutcome>, events: object = {}): ChaosOutcome {
  const metrics = { events: { misapplied: 0, undeliverable: 0, ...events } }
  return {
    viewers: [VIEWER],
    limit: 2,
    inside: INSIDE,
    proxy: { exitCode: 0, tookMs: 1, metrics, report: { undelivered: [] } } as unknown as ChaosOutcome['proxy'],
    havoc: { hits: new Map([['reset', 1]]), stalled: 1, refused: 1, forgotten: ['bystander', 'ours'] },
    recoveredAfterMs: 0,
    pending: 0,
    discontent: 0,
    isBystanderAlive: true,
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

describe('the verdict on chaos', () => {
  it('is that every promise was kept, where each stream that was started was ended or forgotten', () => {
    const { lines, isKept } = chaosVerdict(outcome({}))
    expect(isKept, lines.join('\n')).toBe(true)
    expect(lines.at(-1)).toBe('Every promise was kept.')
  })

  it.each<[string, Partial<ChaosOutcome>]>([
    ['the orchestrator failed in every way (3 of 4)', { havoc: { ...outcome({}).havoc, stalled: 0 } }],
    ['no engine had more than 2 streams (most: 3', inside({ loadPeak: 3 })],
    ['no engine had more than 2 sessions open (most: 3', inside({ enginePeak: 3 })],
    ['every viewer got bytes, or was told when to come back (1 did not)', viewer({ state: 'failed', reason: 'socket hang up' })],
    ['nobody was cut off whose engine was well (1, cut off)', viewer({ wrongs: ['cut off'] })],
    ['nobody was left in the dark whose engine was replaced (1 were)', viewer({ fate: { fate: 'dark', darkMs: 0 } })],
    ['when it was over, everybody who stayed was watching (1 were not)', { discontent: 1 }],
    ['no event was left untold (1 before the shutdown, 0 after)', { pending: 1 }],
    ['every stream that was started was ended, or forgotten (4 starts, 1 ends, 2 forgotten)', inside({ endsApplied: 1 })],
    ['every stream that was started was ended, or forgotten (4 starts, 3 ends, 2 forgotten)', inside({ endsApplied: 3 })],
    ['nothing was told twice (1 starts and 0 ends were)', inside({ startsApplied: 5, repeatedStarts: 1 })],
    ['nothing was told twice (0 starts and 1 ends were)', inside({ repeatedEnds: 1 })],
    ['no start named an engine that was gone (1 did)', inside({ enginesInvented: 1 })],
    ['no innocent stream was ended (1 were)', inside({ innocentsEnded: 1 })],
    ["another proxy's stream was left alone", { isBystanderAlive: false }],
    ['nothing was left behind (1 streams, 0 sessions)', { left: ['ours'] }],
    ['nothing was left behind (0 streams, 1 sessions)', inside({ sessionsLeft: 2 })],
    ['the proxy exited with 0 when told to stop (exited with 1)', { proxy: { ...outcome({}).proxy, exitCode: 1 } }],
    ['no event was given up (1 were)', { proxy: outcome({}, { undeliverable: 1 }).proxy }],
    ['no innocent stream was ended (0 were)', { proxy: outcome({}, { misapplied: 1 }).proxy }],
    ['no event was left untold (0 before the shutdown, 1 after)', { proxy: { ...outcome({}).proxy, report: { undelivered: ['one'] } } }],
  ])('is that a promise was broken: %s', (text, changes) => {
    const { lines, isKept } = chaosVerdict(outcome(changes))
    expect(isKept).toBe(false)
    expect(lines.at(-1)).toContain(`BROKEN: ${text}`)
    expect(lines.at(-1)).not.toContain(';')
  })
})

describe('what goes wrong with requests', () => {
  it('is at least one in four, each kind as often as the others, and the same again with the same seed', () => {
    const deal = (): (string | undefined)[] => {
      const faults = new RequestFaults([{ kind: 'reset' }, { kind: 'lost-answer' }], seededRandom(1))
      const dealt = Array.from({ length: 100 }, () => faults.next()?.kind)
      const counts = [...faults.hits.values()]
      expect(Math.abs((counts[0] ?? 0) - (counts[1] ?? 0))).toBeLessThanOrEqual(1)
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(dealt.filter((kind) => kind !== undefined).length)
      return dealt
    }
    const dealt = deal()
    for (let from = 0; from <= 96; from++) expect(dealt.slice(from, from + 4).some((kind) => kind !== undefined)).toBe(true)
    expect(dealt.filter((kind) => kind !== undefined).length).toBeLessThan(60)
    expect(deal()).toEqual(dealt)
  })
})
