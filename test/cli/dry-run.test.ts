import { CapacityError, type OrchestratorClientOptions } from 'acestream-orchestrator-client'
import { type FakeEngineInit, FakeOrchestrator, type Generation, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { beforeAll, describe, expect, it } from 'vitest'
import { dryRun, showDryRun } from '../../src/cli/dry-run.ts'
import { Screen } from '../../src/cli/screen.ts'
import { loadChunks } from '../../src/runtime/chunk.ts'
import { connect, failureOf } from '../support/setup.ts'

const signal = new AbortController().signal
const REQUEST = { exclude: [], content: undefined, mayProvision: true, signal }
const GENERATIONS: readonly Generation[] = ['2025-10', '2026-04', 'v1']
const screen = new Screen({ env: {}, isTerminal: false })

beforeAll(loadChunks)

function worldOf(engines: readonly FakeEngineInit[], generation: Generation = '2026-04') {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock, engines, generation })
  const options: OrchestratorClientOptions = { baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock, transport: fake }
  return { clock, fake, options }
}

describe('acquire --dry-run', () => {
  it.each(Array.from({ length: 40 }, (_, seed) => seed))(
    'explains the choice that acquireEngine() makes in the random world %i',
    async (seed) => {
      const random = seededRandom(seed + 1)
      const chance = (probability: number): boolean => random() < probability
      const engines = Array.from({ length: 1 + Math.floor(random() * 6) }, (_, index): FakeEngineInit => {
        return {
          containerId: `engine-${index}`,
          healthStatus: chance(0.2) ? 'unhealthy' : chance(0.3) ? 'unknown' : 'healthy',
          forwarded: chance(0.3),
          draining: chance(0.1),
          ...(chance(0.5) ? { vpnContainer: chance(0.5) ? 'vpn-a' : 'vpn-b' } : {}),
        }
      })
      const { fake, clock, options } = worldOf(engines, GENERATIONS[seed % 3])
      const key = 'c'.repeat(40)
      for (const { containerId } of fake.engines) {
        for (let count = Math.floor(random() * 3); count > 0; count -= 1) {
          fake.startElsewhere({ containerId, ...(chance(0.4) ? { key, streamId: `${key}|${containerId}|${count}` } : {}) })
        }
      }
      const maxStreamsPerEngine = 2
      const mayProvision = chance(0.5)
      const exclude = chance(0.3) ? ['engine-0'] : []
      const content = chance(0.5) ? ({ keyType: 'infohash', key } as const) : undefined
      const explained = await dryRun({ ...options, maxStreamsPerEngine }, { exclude, content, mayProvision, signal })
      const best = explained.engines.filter(({ rank }) => rank === 1).map(({ engine }) => engine.containerId)
      fake.setProvisioning({ refuse: undefined })
      const client = connect(fake, clock, { maxStreamsPerEngine, random: seededRandom(seed + 100) })
      const acquired = await client.acquireEngine({ exclude, content, waitMs: 0, provision: mayProvision }).then(
        ({ engine }) => engine.containerId,
        (error: unknown) => error,
      )
      if (best.length === 0) expect(acquired).toBeInstanceOf(CapacityError)
      else expect(best).toContain(acquired)
    },
  )

  it('names the reason for each engine that is not the first', async () => {
    const { fake, options } = worldOf(
      [
        { containerId: 'best', forwarded: true },
        { containerId: 'plain' },
        { containerId: 'loaded' },
        { containerId: 'full' },
        { containerId: 'leaving', draining: true },
        { containerId: 'sick', healthStatus: 'unhealthy' },
        { containerId: 'unwanted' },
      ],
      'v1',
    )
    fake.startElsewhere({ containerId: 'loaded' })
    for (const _ of [1, 2]) fake.startElsewhere({ containerId: 'full' })
    const found = await dryRun({ ...options, maxStreamsPerEngine: 2 }, { ...REQUEST, exclude: ['unwanted'] })
    const [conclusion, , , ...rows] = showDryRun(found, screen)
    expect(conclusion).toMatch(/^A viewer would get engine best at /)
    const cells = rows.map((row) => row.trim().split(/ {2,}/)).map(([rank, id, , load, why]) => [rank, id, load, why])
    // v1 lists its engines in random order.
    const others = cells.splice(3).sort(([, a = ''], [, b = '']) => a.localeCompare(b))
    expect([...cells, ...others]).toEqual([
      ['1', 'best', '0/2', 'best'],
      ['2', 'plain', '0/2', 'no forwarded port'],
      ['3', 'loaded', '1/2', 'more streams'],
      ['-', 'full', '2/2', 'full'],
      ['-', 'leaving', '0/2', 'draining: it will be removed'],
      ['-', 'sick', '0/2', 'unhealthy'],
      ['-', 'unwanted', '0/2', 'excluded by --exclude'],
    ])
  })

  it('says that chance decides between equal engines', async () => {
    const { options } = worldOf([{}, {}])
    const [conclusion] = showDryRun(await dryRun(options, REQUEST), screen)
    expect(conclusion).toBe('A viewer would get one of 2 equally good engines, by chance.')
  })

  it('excludes an engine by the beginning of its id', async () => {
    const { fake, options } = worldOf([{}, {}])
    const [first, second] = fake.engines
    const { engines } = await dryRun(options, { ...REQUEST, exclude: [first?.containerId.slice(0, 12) ?? ''] })
    expect(engines.map(({ engine, hindrance }) => [engine.containerId, hindrance])).toEqual([
      [second?.containerId, undefined],
      [first?.containerId, 'excluded'],
    ])
  })

  it.each<[what: string, prepare: (fake: FakeOrchestrator) => void, mayProvision: boolean, text: RegExp]>([
    ['a new engine would be requested', () => {}, true, /None of 1 engine can be used. A new engine would be requested./],
    ['the viewer would wait', () => {}, false, /It would wait for a free slot./],
    [
      'the orchestrator starts none',
      (fake) => fake.setProvisioning({ refuse: 'vpn_disconnected' }),
      true,
      /starts no new one now: VPN not connected/,
    ],
  ])('says that %s if all engines are full', async (_, prepare, mayProvision, text) => {
    const { fake, options } = worldOf([{ containerId: 'one' }])
    fake.startElsewhere({ containerId: 'one' })
    prepare(fake)
    const found = await dryRun(options, { ...REQUEST, mayProvision })
    expect(showDryRun(found, screen).join(' ')).toMatch(text)
  })

  it('takes no slot and starts no engine', async () => {
    const { fake, options } = worldOf([{ containerId: 'one' }])
    await dryRun(options, REQUEST)
    expect(fake.log).toEqual([])
    expect(Object.keys(fake.counters.requests.byRoute).filter((route) => route.startsWith('POST'))).toEqual([])
  })

  it('rejects with the error of the list', async () => {
    const { fake, options } = worldOf([])
    fake.inject({ kind: 'refused', times: 100 })
    expect(await failureOf(dryRun({ ...options, retry: { attempts: 1 } }, REQUEST))).toMatchObject({ code: 'CONNECTION' })
  })
})
