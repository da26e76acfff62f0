import { ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'
import { EquippedOrchestrator } from '../../examples/demo/equipped-orchestrator.ts'

it('the event stream of the demo lists a new engine only after its fake engine runs', async () => {
  const clock = new ManualClock()
  const fake = new EquippedOrchestrator({ generation: 'v1', engines: 1, maxReplicas: 9, clock, random: seededRandom(1) })
  await fake.equip()
  const { subscribe } = await fake.handle({ method: 'GET', path: '/api/v1/events/stream', authorization: `Bearer ${fake.apiKey}` })
  const texts: string[] = []
  const stop = subscribe?.({ onText: (text) => texts.push(text), onEnd: () => {} })
  fake.addEngine()
  const before = fake.engines.map(({ port }) => port)
  await clock.advance(1_000)
  await fake.equip()
  await clock.advance(1_000)
  stop?.()
  const listed = texts
    .filter((text) => text.includes('full_sync'))
    .map((text) => (JSON.parse(text.split('data: ')[1] ?? '{}') as { payload: { engines: { port: number }[] } }).payload.engines)
  const equipped = fake.engines.map(({ port }) => port).toSorted()
  expect(equipped).not.toEqual(before.toSorted())
  expect(listed.filter((engines) => engines.length === 2).map((engines) => engines.map(({ port }) => port).toSorted())).toEqual([equipped])
  for (const engine of fake.fakeEngines) engine.die('breaks-off')
})
