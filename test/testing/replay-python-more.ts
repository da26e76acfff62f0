import { describe, expect, it } from 'vitest'
import { FakeOrchestrator, ManualClock } from '../../src/testing/index.ts'
import { enginesOf, type Recording, scenarios, section } from './recordings.ts'
import { replay, replayStep, withIdsOf } from './replay.ts'

/** Returns the steps with these names (without section), in this order. */
function inOrder(steps: readonly Recording[], names: readonly string[]): Recording[] {
  return names.flatMap((name) => steps.filter((step) => step.name.split('/').slice(1).join('/') === name))
}

const startedAt = ({ response }: Recording): string => String((response.body as { started_at?: string } | null)?.started_at ?? '')

/** Declares the tests of the other sections of the Python captures. */
export function replayMorePython(): void {
  describe.each(['2025-10', '2026-04'] as const)('replay of python-%s.jsonl, the sections without numbered scenarios', (generation) => {
    const clock = new ManualClock()

    const fakeWith = (recording: Recording | undefined): FakeOrchestrator =>
      new FakeOrchestrator({ generation, engines: enginesOf(recording).filter(({ containerId }) => containerId?.length === 64), clock })

    async function expectSame(fake: FakeOrchestrator, steps: readonly Recording[]): Promise<void> {
      expect(await replay(fake, generation, steps)).toEqual([])
    }

    it('gets the recorded responses in section 01-empty', async () => {
      await expectSame(new FakeOrchestrator({ generation, engines: 0, clock }), section(generation, '01-empty/'))
    })

    it('gets the recorded responses in section 02-engines', async () => {
      const steps = section(generation, '02-engines/')
      const before = ['engine_known', 'engine_unknown', 'engines', 'health_status', 'orch_status', 'vpn_status', 'start_s1']
      const started = ['engines_with_stream', 'engine_known_with_stream', 'streams', 'streams_started', 'streams_ended']
      const filtered = ['streams_cid', 'streams_cid_other', 'orch_status_with_stream', 'stream_stats', 'streams_after_stats']
      const fake = fakeWith(inOrder(steps, ['engines'])[0])
      await expectSame(fake, inOrder(steps, [...before, ...started, ...filtered]))
    })

    it('gets the recorded responses in section 03-started', async () => {
      const steps = section(generation, '03-started/')
      const lists = inOrder(steps, [
        'engines_after_labels',
        'streams_after_repeat',
        'engines_after_hostdiff',
        'streams_final',
        'orch_status_final',
      ])
      const [afterLabels, afterRepeat, afterHostDiff] = lists
      const events = steps.filter((step) => !lists.includes(step))
      const refused = events.filter((step) => startedAt(step) === '')
      const accepted = events.filter((step) => startedAt(step) !== '').sort((a, b) => (startedAt(a) < startedAt(b) ? -1 : 1))
      const fake = fakeWith({ ...(afterHostDiff as Recording), response: engineListBefore(afterLabels as Recording) })
      await expectSame(fake, refused)
      for (const step of accepted) {
        await expectSame(fake, [step])
        if (step.name.endsWith('repeat_same_id_other_session')) await expectSame(fake, [afterLabels, afterRepeat] as Recording[])
        if (step.name.endsWith('cid_known_hostport_differs')) await expectSame(fake, [afterHostDiff as Recording])
      }
      // The lists come last: 2026-04 caches its status for half a second.
      await expectSame(fake, lists.slice(3))
    })

    it('gets the recorded responses in section 06-foreign', async () => {
      const [steps] = [[...scenarios(generation, '06-foreign/').values()].flat()]
      steps.sort((a, b) => stepOf(a) - stepOf(b))
      const time = new ManualClock()
      const list = steps.find(({ name }) => name.endsWith('4_engines'))
      const engines = enginesOf(list).filter(({ containerId }) => containerId?.length === 64)
      const labels = engines.map((engine) => ({ ...engine, labels: withoutStreamId(engine.labels) }))
      const fake = new FakeOrchestrator({ generation, engines: labels, clock: time })
      for (const step of steps) {
        if (step.name.endsWith('6_streams_later')) await time.advance(10_000)
        if (step.name.endsWith('7_engines_later'))
          for (const { containerId } of fake.engines) fake.updateEngine(containerId, { healthStatus: 'healthy' })
        if (step.name.endsWith('engine_gone_1')) fake.removeEngine(fake.engines[0]?.containerId ?? '')
        if (step.name.endsWith('engine_gone_2')) await time.advance(10_000)
        expect(await replayStep(fake, generation, step)).toEqual([])
      }
    })

    it('gets the recorded responses in section 09-restart', async () => {
      const steps = section(generation, '09-restart/')
      const lists = steps.filter(({ name }) => name.includes('_engines_'))
      const [before, afterKill, afterStop] = lists
      const time = new ManualClock()
      const engines = enginesOf(before).map((engine) => ({ ...engine, labels: withoutStreamId(engine.labels) }))
      const fake = new FakeOrchestrator({ generation, engines, clock: time })
      for (const step of steps) {
        if (step === afterKill || step === afterStop) {
          fake.restart()
          // The recorded list of 2025-10 was requested after the first health check.
          if (generation === '2025-10') await time.advance(20_000)
        }
        const known = step.name.endsWith('kill9')
          ? [afterKill]
          : step.name.endsWith('graceful')
            ? [afterStop]
            : /[45]_/.test(step.name)
              ? [afterKill]
              : [before]
        const ids = step.name.includes('6_started')
          ? answerOnly(fake, afterKill as Recording, step)
          : withIdsOf(fake, known as Recording[], step)
        expect(await replayStep(fake, generation, ids)).toEqual([])
      }
    })

    it('gets the recorded responses in section 08-provision for invalid requests', async () => {
      const steps = section(generation, '08-provision/')
      const names = [
        'no_token',
        'wrong_token',
        'bad_json',
        'bad_type',
        'no_body',
        'no_body_json',
        'null_labels',
        'cb_reset',
        'cb_reset_noauth',
      ]
      await expectSame(new FakeOrchestrator({ generation, engines: 0, clock }), inOrder(steps, names))
    })

    it('gets the recorded responses in section 08-provision for rejected requests', async () => {
      const steps = section(generation, '08-provision/')
      const fake = new FakeOrchestrator({ generation, engines: 0, clock })
      const detailOf = (step: Recording): { code: string; message: string; recovery_eta_seconds: number | null } | undefined =>
        (step.response.body as { detail?: { code: string; message: string; recovery_eta_seconds: number | null } }).detail
      for (const step of steps.filter(({ request }) => request.path === '/provision/acestream')) {
        const detail = detailOf(step)
        if (detail?.code === undefined) continue
        const { code, message, recovery_eta_seconds: etaSeconds } = detail
        fake.setProvisioning({ refuse: code as 'general_error', message, etaSeconds })
        await expectSame(fake, [step])
      }
    })

    if (generation === '2026-04') {
      it('gets the recorded responses in section 11-apiv1, with and without the prefix', async () => {
        const steps = section(generation, '11-apiv1/')
        const fake = fakeWith(inOrder(steps, ['GET_engines'])[0])
        const reads = [
          'GET_auth_status',
          'GET_engines',
          'GET_engines_KNOWN',
          'GET_engines_nope',
          'GET_health_status',
          'GET_orchestrator_status',
        ]
        const more = ['GET_streams', 'GET_version', 'GET_vpn_status', 'auth_status_unprefixed', 'version_unprefixed', 'started_no_token']
        const events = ['started', 'streams_v1', 'streams_unprefixed', 'ended_known', 'ended_unknown', 'provision']
        await expectSame(fake, inOrder(steps, [...reads, ...more, ...events]))
      })
    }
  })
}

const stepOf = ({ name }: Recording): number => Number.parseInt(name.split('/').at(-1) ?? '', 10)

function withoutStreamId(labels: Readonly<Record<string, string>> = {}): Record<string, string> {
  const { stream_id: _, proxy: __, ...rest } = labels
  return rest
}

/** Returns the list of engines as it was before any start had added labels. */
function engineListBefore({ response }: Recording): Recording['response'] {
  const engines = (response.body as { labels: Record<string, string> }[]).map((engine) => ({
    ...engine,
    labels: withoutStreamId(engine.labels),
  }))
  return { ...response, body: engines }
}

/** Replaces container ids in the response only: the request names the engine from before the restart. */
function answerOnly(fake: FakeOrchestrator, list: Recording, step: Recording): Recording {
  return { ...step, response: withIdsOf(fake, [list], step).response }
}
