import { seededRandom } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { readArguments } from '../../examples/fleet/arguments.ts'
import { Audience } from '../../examples/fleet/audience.ts'
import { type FleetOutcome, fleetVerdict } from '../../examples/fleet/fleet-verdict.ts'
import type { OutageOutcome } from '../../examples/fleet/outage.ts'
import { isNode22 } from '../support/platform.ts'
import { startExample } from './processes.ts'

describe.skipIf(isNode22)('the fleet demo', () => {
  it('exits with 2 if there is no redis-server, and says how to install it', async () => {
    const { exit, output } = startExample('fleet/main.ts', [], { PATH: '/nowhere' })
    expect(await exit, output()).toBe(2)
    expect(output()).toContain('there is no redis-server on this machine; get one with `apt-get install redis-server`')
  })

  it.each([['--generation', 'v3'], ['--seed', 'x'], ['--nonsense']])('exits with 2 for the invalid argument %s %s', async (...args) => {
    const { exit, output } = startExample('fleet/main.ts', args)
    expect(await exit).toBe(2)
    expect(output()).toContain(args[0])
  })

  it.each([
    [[], 'plain'],
    [['--without-store'], 'without-store'],
    [['--redis-outage', '--generation', 'v1', '--seed', '7'], 'redis-outage'],
  ])('reads %j as the form %s', (argv, form) => {
    expect(readArguments(argv)).toMatchObject({ form })
  })

  it('rejects --redis-outage together with --without-store', () => {
    expect(() => readArguments(['--redis-outage', '--without-store'])).toThrow('--redis-outage: needs a Redis; leave --without-store out')
  })

  it('prints its usage for --help and exits with 0', async () => {
    const { exit, output } = startExample('fleet/main.ts', ['--help'])
    expect(await exit).toBe(0)
    expect(output()).toContain('npm run demo:fleet')
    for (const option of ['--generation', '--seed', '--without-store', '--redis-outage']) expect(output()).toContain(option)
  })
})

const KEPT: FleetOutcome = {
  audience: new Audience([], seededRandom(1)),
  limit: 2,
  inside: { startsApplied: 9, endsApplied: 9, loadPeak: 2, enginePeak: 2, sessionsLeft: 0, innocentsEnded: 0 },
  exits: [{ exitCode: 0, tookMs: 1, metrics: undefined, report: {} }],
  left: 3,
  cleanedAfterMs: 5_000,
  listed: [],
}

const SURVIVED: OutageOutcome = { downMs: 20_000, slotsAfterMs: 10_000, ranPerProxy: [2, 1, 2], ended: 0 }

/** An audience with one viewer who got no bytes and no Retry-After. */
function audienceWithFailure(isDead: boolean): Audience {
  const audience = new Audience([], seededRandom(1))
  const viewer = { state: 'failed', bytes: 0 } as Audience['viewers'][number]
  audience.visits.push({ viewer, proxy: { url: '', isDead }, infohash: 'a', isLeaving: false })
  return audience
}

describe('the verdict of the fleet demo', () => {
  it('says that every promise was kept if every started stream was ended', () => {
    const { lines, isKept } = fleetVerdict(KEPT)
    expect(isKept, lines.join('\n')).toBe(true)
    expect(lines.at(-1)).toBe('Every promise was kept.')
  })

  it('checks one more promise after an outage: no stream that ran through it was ended', () => {
    const { lines, isKept } = fleetVerdict({ ...KEPT, outage: SURVIVED })
    expect(isKept, lines.join('\n')).toBe(true)
    expect(lines).toContain('  kept    no stream that ran through the outage was ended (of 2 + 1 + 2, 0 were)')
    expect(lines).toContain('redis     down for 20.0 s; every proxy granted slots 10.0 s after its return')
    expect(fleetVerdict(KEPT).lines.join('\n')).not.toContain('outage')
  })

  it('ignores the viewers that the killed proxy cut off', () => {
    expect(fleetVerdict({ ...KEPT, audience: audienceWithFailure(true) }).isKept).toBe(true)
  })

  it.each<[string, Partial<FleetOutcome>]>([
    ['an engine had more streams than its limit', { inside: { ...KEPT.inside, loadPeak: 3 } }],
    ['an engine had more sessions than its limit', { inside: { ...KEPT.inside, enginePeak: 3 } }],
    ['a viewer of a living proxy got no bytes and no Retry-After', { audience: audienceWithFailure(false) }],
    ['the streams of the killed proxy were not ended', { cleanedAfterMs: undefined }],
    ['the killed proxy left no streams, so that nothing was tested', { left: 0 }],
    ['a stream was not ended', { inside: { ...KEPT.inside, endsApplied: 8 } }],
    ['a stream was ended twice', { inside: { ...KEPT.inside, repeatedEnds: 1 } }],
    ['a stream was ended by a request for another stream', { inside: { ...KEPT.inside, innocentsEnded: 1 } }],
    ['a stream is still listed', { listed: ['a|b'] }],
    ['an engine still has a session', { inside: { ...KEPT.inside, sessionsLeft: 1 } }],
    ['a stream that ran through the outage was ended', { outage: { ...SURVIVED, ended: 1 } }],
    [
      'no stream of one proxy ran through the outage, so that nothing was tested there',
      { outage: { ...SURVIVED, ranPerProxy: [2, 0, 2] } },
    ],
    ['a proxy exited with 1', { exits: [{ exitCode: 1, tookMs: 1, metrics: undefined, report: {} }] }],
  ])('says that a promise was broken if %s', (_, changes) => {
    const { lines, isKept } = fleetVerdict({ ...KEPT, ...changes })
    expect(isKept).toBe(false)
    expect(lines.at(-1)).toMatch(/^BROKEN: [^;]+$/)
  })
})
