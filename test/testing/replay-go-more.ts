import { describe, expect, it } from 'vitest'
import { FakeOrchestrator, ManualClock } from '../../src/testing/index.ts'
import { enginesOf, type Recording, section } from './recordings.ts'
import { replayStep, withIdsOf } from './replay.ts'

/** Does what the recorded run did before a step: a wait, a kill, a restart. */
type Before = (name: string, fake: FakeOrchestrator, clock: ManualClock) => Promise<void> | void

/** Declares the tests of the v1 capture after section 08. */
export function replayMoreGo(): void {
  describe('replay of go-v1.jsonl, the sections after 08', () => {
    async function play(steps: readonly Recording[], seed: Recording | undefined, before: Before): Promise<void> {
      const clock = new ManualClock()
      const fake = new FakeOrchestrator({ generation: 'v1', engines: enginesOf(seed), maxReplicas: 6, clock })
      for (const step of steps) {
        await before(step.name, fake, clock)
        expect(await replayStep(fake, 'v1', withIdsOf(fake, [step], step))).toEqual([])
      }
    }

    const firstList = (steps: readonly Recording[]): Recording | undefined =>
      steps.find(({ request, response }) => request.path === '/api/v1/engines' && response.status === 200)

    it('gets the recorded responses in section 11-vanish, after the start in 10-idle', async () => {
      const steps = section('v1', '10-idle/start_keep').concat(section('v1', '11-vanish/'))
      const seed = section('v1', '10-idle/change_00_engines')[0]
      const gone = section('v1', '10-idle/start_keep')[0]?.request.body as { container_id: string }
      await play(steps, seed, async (name, fake, clock) => {
        if (name.endsWith('after_kill_0_engines')) fake.removeEngine(gone.container_id)
        if (name.endsWith('after_kill_2_engines')) await clock.advance(2_000)
      })
    })

    it('gets the recorded responses in section 12-drain', async () => {
      const steps = section('v1', '12-drain/')
      await play(steps, firstList(steps), async (name, _, clock) => {
        if (name.endsWith('/after_engines')) await clock.advance(30_000)
      })
    })

    it('gets the recorded responses in section 13-own-proxy', async () => {
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

    it('gets the recorded responses in section 16-restart', async () => {
      const steps = section('v1', '16-restart/')
      await play(steps, firstList(steps), (name, fake) => {
        if (name.endsWith('/after_engines')) fake.restart()
      })
    })

    it('gets the recorded responses in section 17-burst', async () => {
      const steps = section('v1', '17-burst/')
      await play(steps, firstList(steps), async (name, _, clock) => {
        if (name.endsWith('len_3_engines')) await clock.advance(1_000)
        if (name.endsWith('len_5_engines')) await clock.advance(25_000)
      })
    })
  })
}
