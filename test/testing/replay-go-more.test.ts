import { afterAll, describe, expect, it } from 'vitest'
import { FakeOrchestrator, ManualClock } from '../../src/testing/index.ts'
import { enginesOf, type Recording, section } from './recordings.ts'
import { replayStep, withIdsOf } from './replay.ts'

/** What the recording waited, or did, before a step. */
type Before = (name: string, fake: FakeOrchestrator, clock: ManualClock) => Promise<void> | void

describe('go-v1.jsonl, the sections after 06', () => {
  let count = 0

  afterAll(() => console.log(`v1, more: ${count} requests replayed`))

  async function play(
    steps: readonly Recording[],
    seed: Recording | undefined,
    before: Before,
    life?: { fake: FakeOrchestrator; clock: ManualClock },
  ) {
    const clock = life?.clock ?? new ManualClock()
    const fake = life?.fake ?? new FakeOrchestrator({ generation: 'v1', engines: enginesOf(seed), minReplicas: 2, maxReplicas: 6, clock })
    for (const step of steps) {
      await before(step.name, fake, clock)
      const list = steps.find(({ name, response }) => Array.isArray(response.body) && name >= step.name && name.endsWith('engines'))
      const own = withIdsOf(fake, [step, ...(list === undefined ? [] : [list])], step)
      count++
      expect(await replayStep(fake, 'v1', own)).toEqual([])
    }
  }

  const firstList = (steps: readonly Recording[]): Recording | undefined =>
    steps.find(({ request, response }) => request.path === '/api/v1/engines' && response.status === 200)

  it('08-provision', async () => {
    const steps = section('v1', '08-provision/')
    const waits: Record<string, number> = { engines_03: 1_500, status_after_three: 1_500, engines_at_max: 3_000 }
    await play(steps, firstList(steps), async (name, fake, clock) => {
      // What the sections before had left of the count: three that no end took away, and one more.
      if (name.endsWith('/no_token'))
        for (let left = 0; left < 4; left++) fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', streamId: 'left' })
      if (name.endsWith('/status_before')) fake.endElsewhere('left')
      if (name.endsWith('/status_before')) fake.startElsewhere({ containerId: fake.engines[0]?.containerId ?? '', streamId: 'left' })
      if (name.endsWith('/status_before')) fake.startElsewhere({ containerId: 'elsewhere', streamId: 'left' })
      if (name.endsWith('/status_before')) fake.endElsewhere('left')
      await clock.advance(waits[name.split('/')[1] ?? ''] ?? 0)
    })
  })

  it('11-vanish, after 10-idle', async () => {
    const steps = section('v1', '10-idle/start_keep').concat(section('v1', '11-vanish/'))
    const seed = section('v1', '10-idle/change_00_engines')[0]
    const gone = section('v1', '10-idle/start_keep')[0]?.request.body as { container_id: string }
    await play(steps, seed, async (name, fake, clock) => {
      if (name.endsWith('after_kill_0_engines')) fake.removeEngine(gone.container_id)
      if (name.endsWith('after_kill_2_engines')) await clock.advance(2_000)
    })
  })

  it('12-drain', async () => {
    const steps = section('v1', '12-drain/')
    await play(steps, firstList(steps), async (name, _, clock) => {
      if (name.endsWith('/after_engines')) await clock.advance(30_000)
    })
  })

  it('13-own-proxy', async () => {
    const steps = section('v1', '13-own-proxy/')
    const id = 'd'.repeat(40)
    await play(steps, firstList(steps), (name, fake) => {
      if (name.endsWith('change_00_streams')) fake.startElsewhere({ containerId: '', streamId: id, status: 'allocating' })
      const engine = fake.engines.find(({ containerName }) => containerName === 'acestream-vm-2')
      if (name.endsWith('change_01_streams'))
        fake.startElsewhere({ containerId: engine?.containerId ?? '', streamId: id, status: 'prebuf' })
      if (name.endsWith('after_00_engines')) fake.endElsewhere(id)
    })
  })

  it('16-restart', async () => {
    const steps = section('v1', '16-restart/')
    await play(steps, firstList(steps), (name, fake) => {
      if (name.endsWith('/after_engines')) fake.restart()
    })
  })

  it('17-burst', async () => {
    const steps = section('v1', '17-burst/')
    await play(steps, firstList(steps), async (name, _, clock) => {
      if (name.endsWith('len_3_engines')) await clock.advance(1_000)
      if (name.endsWith('len_5_engines')) await clock.advance(25_000)
    })
  })
})
