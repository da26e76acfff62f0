import { GENERATIONS } from 'acestream-orchestrator-client/testing'
import { describe } from 'vitest'
import { CASES } from '../support/fault-cases.ts'
import { mswServer, setupOnMsw } from '../support/msw.ts'
import { testRow, watchRejections } from './matrix.ts'

const server = mswServer()
watchRejections()

describe.each(GENERATIONS)('over the default transport, %s', (generation) => {
  describe.each(CASES)('%s', (...fault) => {
    describe.each([1, 3])('%i times in a row', (times) =>
      testRow({ make: (...options) => setupOnMsw(server, ...options), generation, fault, times }),
    )
  })
})
