import { InvalidArgumentError } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions, ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'

it.each([
  ['generation', { generation: 'v9' }],
  ['engines', { engines: -1 }],
  ['engines', { engines: 1.5 }],
])('the fake rejects an invalid option %s, so that a typo does not test something else', (argument, options) => {
  expect(() => new FakeOrchestrator(options as FakeOrchestratorOptions)).toThrow(expect.objectContaining({ argument }))
})

it('the fake rejects an unknown kind of fault', () => {
  expect(() => new FakeOrchestrator().inject({ kind: 'nope' as 'reset' })).toThrow(InvalidArgumentError)
})

const fake = new FakeOrchestrator({ clock: new ManualClock() })
const containerId = fake.addEngine()
type Wrong = [shown: string, argument: string, call: () => unknown]
const wrong: Wrong[] = [
  ['engines: [3]', 'engine', () => new FakeOrchestrator({ engines: [3] as never })],
  ['engines: null', 'engines', () => new FakeOrchestrator({ engines: null as never })],
  ["engines: '3'", 'engines', () => new FakeOrchestrator({ engines: '3' as never })],
  ['autoDelete: 1', 'autoDelete', () => new FakeOrchestrator({ autoDelete: 1 as never })],
  ['maxReplicas: NaN', 'maxReplicas', () => new FakeOrchestrator({ maxReplicas: Number.NaN })],
  ["provisionDelayMs: '5'", 'provisionDelayMs', () => new FakeOrchestrator({ provisionDelayMs: '5' as never })],
  ['addEngine({ port: 0 })', 'engine.port', () => fake.addEngine({ port: 0 })],
  ["addEngine({ healthStatus: 'helthy' })", 'engine.healthStatus', () => fake.addEngine({ healthStatus: 'helthy' as never })],
  ["setProvisioning({ refuse: 'vpn' })", 'refuse', () => fake.setProvisioning({ refuse: 'vpn' as never })],
  ["setProvisioning({ delayMs: '5' })", 'delayMs', () => fake.setProvisioning({ delayMs: '5' as never })],
  ['setProvisioning({ etaSeconds: NaN })', 'etaSeconds', () => fake.setProvisioning({ etaSeconds: Number.NaN })],
  [
    "updateEngine(…, { healthStatus: 'helthy' })",
    'patch.healthStatus',
    () => fake.updateEngine(containerId, { healthStatus: 'helthy' as never }),
  ],
  ["updateEngine(…, { draining: 'no' })", 'patch.draining', () => fake.updateEngine(containerId, { draining: 'no' as never })],
  ['drainEngine(…, { stopAfterMs: 5 })', 'stopAfterMs', () => fake.drainEngine(containerId, { stopAfterMs: 5 } as never)],
  ...[Number.NaN, '500', Number.POSITIVE_INFINITY, null, -1].map(
    (downMs): Wrong => [`restart({ downMs: ${downMs} })`, 'downMs', () => fake.restart({ downMs: downMs as never })],
  ),
  ["inject({ probability: '0.5' })", 'probability', () => fake.inject({ kind: 'reset', probability: '0.5' as never })],
  ['inject({ probability: 50 })', 'probability', () => fake.inject({ kind: 'reset', probability: 50 })],
  ['inject({ times: 0 })', 'times', () => fake.inject({ kind: 'reset', times: 0 })],
  ["inject({ delayMs: '5' })", 'delayMs', () => fake.inject({ kind: 'delay', delayMs: '5' as never })],
  ["inject({ status: '503' })", 'status', () => fake.inject({ kind: 'status', status: '503' as never })],
  ['inject({ headers: new Headers() })', 'headers', () => fake.inject({ kind: 'status', headers: new Headers({ a: 'b' }) as never })],
]
it.each(wrong)('the fake rejects %s with an error that names %s, and changes nothing', (_, argument, call) => {
  const before = JSON.stringify(fake.engines)
  expect(call).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT', argument }))
  expect(JSON.stringify(fake.engines)).toBe(before)
})
