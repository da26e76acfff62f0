import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe } from 'vitest'
import { CASES } from '../support/fault-cases.ts'
import { setup } from '../support/setup.ts'
import { testRow, watchRejections } from './matrix.ts'

watchRejections()

describe.each(GENERATIONS)('%s', (generation) => {
  describe.each(CASES)('%s', (...fault) => {
    describe.each([1, 3])('%i times in a row', (times) => testRow({ make: setup, generation, fault, times }))
  })
})
