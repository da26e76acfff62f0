import { MemoryStore, type SlotRequest, type StateStore } from 'acestream-orchestrator-client'
import { FakeOrchestrator, ManualClock, seededRandom } from 'acestream-orchestrator-client/testing'
import { expect, it } from 'vitest'
import { during, failureOf, openClient } from '../../support/setup.ts'

it('a caller that gives up before it has its place leaves the line of the store', async () => {
  const clock = new ManualClock()
  const fake = new FakeOrchestrator({ clock, random: seededRandom(1), engines: 1 })
  const memory = new MemoryStore()
  const take = memory.take.bind(memory)
  let leaveCount = 0
  let answer: PromiseWithResolvers<void> | undefined
  const store: StateStore = Object.assign(memory, {
    async take(request: SlotRequest) {
      await answer?.promise
      return take(request)
    },
    leaveLine() {
      leaveCount += 1
    },
  })
  const client = openClient(fake, clock, { transport: fake, store, maxStreamsPerEngine: 1 })
  await during(clock, client.acquireEngine({ provision: false }))
  answer = Promise.withResolvers()
  const controller = new AbortController()
  const failure = failureOf(client.acquireEngine({ provision: false, signal: controller.signal }))
  await clock.settle()
  controller.abort(new Error('the viewer has left'))
  await clock.settle()
  const before = leaveCount
  answer.resolve()
  expect(await during(clock, failure)).toMatchObject({ message: 'the viewer has left' })
  await clock.settle()
  expect(leaveCount).toBeGreaterThan(before)
})
