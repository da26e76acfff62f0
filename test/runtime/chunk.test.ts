import { ConnectionError } from 'acestream-orchestrator-client'
import { describe, expect, it, vi } from 'vitest'
import { Chunk } from '../../src/runtime/chunk.ts'
import { failureOf } from '../support/setup.ts'

describe('code that is loaded with its first use', () => {
  it('is imported once for all callers, not before the first, and they continue in the order of their calls', async () => {
    const load = vi.fn(async () => 'code')
    const chunk = new Chunk('playbacks', load)
    expect([load.mock.calls.length, chunk.code]).toEqual([0, undefined])
    const order: number[] = []
    await Promise.all([1, 2, 3].map((caller) => chunk.load().then(() => order.push(caller))))
    expect([load.mock.calls.length, chunk.code, order]).toEqual([1, 'code', [1, 2, 3]])
  })

  it('that cannot be read rejects with a ConnectionError that names it and may be retried, and the next call imports it again', async () => {
    const missing = new Error('Cannot find module')
    const load = vi.fn(async () => 'code').mockRejectedValueOnce(missing)
    const chunk = new Chunk('playbacks', load)
    const [error, same] = await Promise.all([failureOf(chunk.load()), failureOf(chunk.load())])
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error).toMatchObject({ retryable: true, maybeProcessed: false, cause: missing, message: expect.stringContaining('"playbacks"') })
    expect([same, chunk.code]).toEqual([error, undefined])
    expect([await chunk.load(), load.mock.calls.length]).toEqual(['code', 2])
  })
})
