import {
  InvalidArgumentError,
  type Logger,
  MemoryStore,
  OrchestratorClient,
  type OrchestratorClientOptions,
  type StateStore,
  type StoreUser,
} from 'acestream-orchestrator-client'
import { describe, expect, it } from 'vitest'
import { noteUnhandled, throwingThen, unreadableThen } from '../client/callbacks.ts'
import { setup } from '../support/setup.ts'

/** A store that records the clients that attach to it. */
function recordingStore(): { store: StateStore; users: StoreUser[] } {
  const users: StoreUser[] = []
  return { users, store: Object.assign(new MemoryStore(), { attach: (user: StoreUser) => void users.push(user) }) }
}

function userOf(options: Omit<OrchestratorClientOptions, 'store'>): StoreUser | undefined {
  const { store, users } = recordingStore()
  new OrchestratorClient({ ...options, store })
  return users[0]
}

describe('a store with attach', () => {
  it.each([
    ['http://orchestrator:8000', 'http://orchestrator:8000'],
    ['http://Orchestrator:8000/', 'http://orchestrator:8000'],
    ['HTTPS://EXAMPLE.com:443/Orchestrator//', 'https://example.com/Orchestrator'],
    [new URL('http://[::1]:80/v1/'), 'http://[::1]/v1'],
  ])('gets the base URL %s of its client as %s', (baseUrl, expected) => {
    expect(userOf({ baseUrl })?.baseUrl).toBe(expected)
  })

  it('never gets the API key, not even in the path of the base URL', () => {
    expect(userOf({ baseUrl: 'http://orchestrator:8000/s3cret-key/', apiKey: 's3cret-key' })?.baseUrl).toBe('http://orchestrator:8000/***')
  })

  it('is attached once by each client, before any other of its methods is called', async () => {
    const calls: PropertyKey[] = []
    const store = new Proxy<StateStore>(Object.assign(new MemoryStore(), { attach() {} }), {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...given: unknown[]) => {
          calls.push(name)
          return Reflect.apply(value, target, given)
        }
      },
    })
    const { client } = setup({ engines: 1 }, { store })
    expect(calls).toEqual(['attach'])
    await (await client.acquireEngine()).release()
    expect(calls.filter((name) => name === 'attach')).toHaveLength(1)
    setup({ engines: 1 }, { store })
    expect(calls.filter((name) => name === 'attach')).toHaveLength(2)
  })

  it('can write to the logger of its client, and gets no error if that logger throws', () => {
    const lines: string[] = []
    const logger: Logger = {
      debug() {},
      info() {},
      warn: (message) => void lines.push(message),
      error() {
        throw new Error('no room')
      },
    }
    const user = userOf({ baseUrl: 'http://orchestrator:8000', logger })
    user?.logger.warn('Redis is down')
    expect(() => user?.logger.error('Redis is down')).not.toThrow()
    expect(lines).toEqual(['Redis is down'])
  })

  it('makes the constructor of the client throw the same error if attach() throws', () => {
    const refusal = new InvalidArgumentError('store', 'one orchestrator only')
    const store = Object.assign(new MemoryStore(), {
      attach() {
        throw refusal
      },
    })
    expect(() => new OrchestratorClient({ baseUrl: 'http://orchestrator:8000', store })).toThrow(refusal)
  })

  it.each([
    ['a promise that rejects', () => Promise.reject(new Error('later'))],
    ['a promise whose then throws', throwingThen],
    ['an object whose then cannot be read', unreadableThen],
  ])('causes no unhandled rejection if attach() returns %s', async (_, attach) => {
    const unhandled = noteUnhandled()
    const store: StateStore = Object.assign(new MemoryStore(), { attach: () => void 0 })
    Object.assign(store, { attach })
    const { client } = setup({ engines: 1 }, { store })
    await (await client.acquireEngine()).release()
    await new Promise(setImmediate)
    expect(unhandled).toEqual([])
  })

  it('is rejected by the client if attach is not a function', () => {
    const store = Object.assign(new MemoryStore(), { attach: 'mine' }) as unknown as StateStore
    expect(() => new OrchestratorClient({ baseUrl: 'http://orchestrator:8000', store })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', argument: 'store.attach' }),
    )
  })
})
