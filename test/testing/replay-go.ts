import { describe, expect, it } from 'vitest'
import { FakeOrchestrator, ManualClock } from '../../src/testing/index.ts'
import { enginesOf, type Recording, section } from './recordings.ts'
import { compareJson, replay, replayStep, withIdsOf } from './replay.ts'

const SECTIONS = ['01-empty', '02-engines', '03-started', '04-ended', '04b-namesakes', '05-order', '06-claims']

/** Declares the tests of sections 01 to 08 of the v1 capture. */
export function replayGo(): void {
  describe('replay of go-v1.jsonl, sections 01 to 08, on one fake orchestrator', () => {
    const steps = section('v1', '0').filter(({ name }) => name < '09')
    const clock = new ManualClock()
    const fake = new FakeOrchestrator({ generation: 'v1', engines: enginesOf(steps[0]), maxReplicas: 6, clock })

    const stepsOf = (name: string): Recording[] => steps.filter((step) => step.name.startsWith(`${name}/`))

    for (const name of SECTIONS) {
      it(`gets the recorded responses in section ${name}`, async () => {
        const own = stepsOf(name)
        expect(await replay(fake, 'v1', own)).toEqual([])
      })
    }

    it('gets the recorded pushes in section 07-sse', async () => {
      const own = new Map(stepsOf('07-sse').map((step) => [step.name.split('/')[1], step]))
      const play = async (name: string): Promise<void> => {
        expect(await replay(fake, 'v1', [own.get(name) as Recording])).toEqual([])
      }
      await play('no_auth')
      await play('wrong')
      const { subscribe } = await fake.handle({ method: 'GET', path: '/api/v1/events/stream', authorization: 'Bearer testkey' })
      const pushed: string[] = []
      const stop = subscribe?.({ onText: (text) => void pushed.push(text), onEnd: () => {} })
      const expectPush = (name: string, text: string | undefined): void => {
        expect(compareJson('v1', own.get(name) as Recording, dataOf(text), dataOf(own.get(name)?.response.body))).toEqual([])
      }
      expectPush('first_message', pushed.at(-1))
      await clock.advance(1_000)
      expectPush('a_second_later_nothing_changed', pushed.at(-1))
      await play('start_during')
      await clock.advance(1_000)
      expectPush('with_a_stream', pushed.at(-1))
      await play('end_during')
      await clock.advance(13_000)
      expect(pushed).toContain(own.get('keep_alive')?.response.body)
      stop?.()
    })

    it('gets the recorded responses in section 08-provision', async () => {
      const waits: Readonly<Record<string, number>> = { engines_03: 1_500, status_after_three: 1_500, engines_at_max: 3_000 }
      for (const step of stepsOf('08-provision')) {
        await clock.advance(waits[step.name.split('/')[1] ?? ''] ?? 0)
        expect(await replayStep(fake, 'v1', withIdsOf(fake, [step], step))).toEqual([])
      }
    })
  })
}

/** Parses the data of one message. Throws if it is no `full_sync` message. */
function dataOf(text: unknown): unknown {
  const [, data] = /^event: full_sync\ndata: (.*)\n\n$/.exec(String(text)) ?? []
  return JSON.parse(data ?? '')
}
