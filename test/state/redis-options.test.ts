import { InvalidArgumentError } from 'acestream-orchestrator-client'
import { type RedisClient, RedisStore, type RedisStoreOptions } from 'acestream-orchestrator-client/redis'
import { describe, expect, it } from 'vitest'
import { withoutSecrets } from '../../src/state/redis/reply-error.ts'

const never = () => new Promise<never>(() => {})
const client: RedisClient = { evalsha: never, eval: never, duplicate: () => undefined }
const slot = { leaseId: '1', candidates: [{ containerId: 'a', reportedStreamIds: [] }], limit: 1, now: 0, expiresAt: 1_000 }

describe('a Redis store without a server', () => {
  it.each<[string, Partial<Record<keyof RedisStoreOptions, unknown>>]>([
    ['client', { client: {} }],
    ['client', { client: undefined }],
    ['name', { name: '' }],
    ['timeoutMs', { timeoutMs: 0 }],
    ['slotTtlMs', { slotTtlMs: Number.NaN }],
    ['onStoreFailure', { onStoreFailure: 'ignore' }],
    ['logger', { logger: {} }],
    ['clock', { clock: {} }],
  ])('says that %s is wrong: %o', (argument, wrong) => {
    const make = () => new RedisStore({ client, ...(wrong as Partial<RedisStoreOptions>) })
    expect(make).toThrow(InvalidArgumentError)
    expect(make).toThrow(expect.objectContaining({ argument }))
  })

  it.each<[string, object]>([
    ['redis 3 or older', { evalsha: never, eval: never, duplicate: never, internal_send_command: never }],
    ['redis 4', { evalSha: never, eval: never, duplicate: never, disconnect: never }],
    ['ioredis 4 or older', { evalsha: never, eval: never, duplicate: never, options: { showFriendlyErrorStack: false } }],
  ])('rejects a client of %s and names the supported releases', (release, old) => {
    const make = () => new RedisStore({ client: old as RedisClient })
    expect(make).toThrow(InvalidArgumentError)
    expect(make).toThrow(`client: expected a client of redis 5 or 6, or of ioredis 5 or 6; found a client of ${release}`)
  })

  it.each<[string, object]>([
    ['a client of redis 5', { evalSha: never, eval: never, duplicate: never, disconnect: never, destroy: never }],
    [
      'a client of ioredis 5',
      { evalsha: never, eval: never, duplicate: never, createScanStream: never, options: { showFriendlyErrorStack: true } },
    ],
    ['a client that the host wrote', { evalSha: never, eval: never, duplicate: never }],
  ])('accepts %s', (_, current) => {
    expect(new RedisStore({ client: current as RedisClient })).toBeInstanceOf(RedisStore)
  })

  it('renews three times within slotTtlMs', () => {
    expect([new RedisStore({ client }).renewIntervalMs, new RedisStore({ client, slotTtlMs: 900 }).renewIntervalMs]).toEqual([5_000, 300])
  })

  it('rejects a call after timeoutMs if the client library never answers', async () => {
    const store = new RedisStore({ client, timeoutMs: 20 })
    await expect(store.take(slot)).rejects.toMatchObject({
      code: 'STORE',
      reason: 'unavailable',
      message: expect.stringContaining('20 ms'),
    })
    await expect(store.close()).resolves.toBeUndefined()
  })

  it('treats a client library that throws as a Redis that is unavailable', async () => {
    const failing = () => {
      throw new Error('boom')
    }
    const store = new RedisStore({ client: { evalsha: failing, eval: failing, duplicate: failing } })
    await expect(store.take(slot)).rejects.toMatchObject({ reason: 'unavailable' })
    expect(() => store.onSlotFreed(() => {})()).not.toThrow()
    await expect(store.recover()).resolves.toEqual([])
  })

  it('[I8] shows no password that an error contains', async () => {
    const secret = 'hunter2'
    const carried = Object.assign(new Error(`WRONGPASS at redis://user:${secret}@redis:6379/0, sorry`), {
      code: 'WRONGPASS',
      command: { name: 'auth', args: ['user', secret] },
    })
    expect(withoutSecrets(carried)).toMatchObject({ message: 'WRONGPASS at *** sorry', code: 'WRONGPASS' })
    const lines: unknown[] = []
    const note = (...line: unknown[]): void => void lines.push(line)
    const rejecting = () => Promise.reject(carried)
    const logger = { debug: note, info: note, warn: note, error: note }
    const store = new RedisStore({ client: { evalsha: rejecting, eval: rejecting, duplicate: () => undefined }, logger })
    const error: unknown = await store.take(slot).catch((reason: unknown) => reason)
    const shown = (value: unknown): string =>
      value instanceof Error
        ? `${value.message} ${value.stack} ${JSON.stringify(value)} ${shown(value.cause)}`
        : JSON.stringify(value, (_, inner: unknown) => (inner instanceof Error ? shown(inner) : inner))
    expect(lines).toHaveLength(1)
    expect(shown(error) + shown(lines)).toContain('WRONGPASS')
    expect(shown(error) + shown(lines)).not.toContain(secret)
  })
})
