import { describe, expect, it } from 'vitest'
import { run } from './own-process.ts'
import { PENDING_CALLS, pendingCallsModule } from './pending-calls.ts'

describe.each(['top-level await', 'async main()'] as const)('a process with nothing else to do, in the form of %s', (form) => {
  it('lives until every call of the client that it waits for has settled', async () => {
    const code = pendingCallsModule(form, 'acestream-orchestrator-client', 'acestream-orchestrator-client/testing')
    const { exit, output } = await run(code)
    expect(output.trim().split('\n')).toEqual(PENDING_CALLS)
    expect(exit).toBe(0)
  })
})
