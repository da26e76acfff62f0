import { describe, expect, it } from 'vitest'
import { run } from './own-process.ts'
import { PENDING_CALLS, pendingCallsModule } from './pending-calls.ts'

describe.each(['top-level await', 'async main()'] as const)('a process that only awaits calls of the client, written as %s', (form) => {
  it('stays alive until each awaited call has settled', async () => {
    const code = pendingCallsModule(form, 'acestream-orchestrator-client', 'acestream-orchestrator-client/testing')
    const { exit, output } = await run(code)
    expect(output.trim().split('\n')).toEqual(PENDING_CALLS)
    expect(exit).toBe(0)
  })
})
