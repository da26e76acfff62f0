import { InvalidArgumentError } from 'acestream-orchestrator-client'
import { FakeOrchestrator, type FakeOrchestratorOptions } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'

it.each([
  ['generation', { generation: 'v9' }],
  ['engines', { engines: -1 }],
  ['engines', { engines: 1.5 }],
])('a fake with a wrong %s is refused: a typo must not test something else', (argument, options) => {
  expect(() => new FakeOrchestrator(options as FakeOrchestratorOptions)).toThrow(expect.objectContaining({ argument }))
})

it('a fault that does not exist is refused', () => {
  expect(() => new FakeOrchestrator().inject({ kind: 'nope' as 'reset' })).toThrow(InvalidArgumentError)
})
