import { InvalidArgumentError, MemoryStore, type SlotRequest, type StoreUser } from 'acestream-orchestrator-client'
import {
  type DescribeStateStoreOptions,
  describeStateStore,
  STATE_STORE_RULES,
  type StoreFactory,
} from 'acestream-orchestrator-client/testing'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { run } from '../client/own-process.ts'

type Run = () => Promise<void>

function declaredBy(factory: StoreFactory, options: DescribeStateStoreOptions = {}): Map<string, Run> {
  const tests = new Map<string, Run>()
  describeStateStore(factory, { describe: (_, body) => body(), it: (name, run) => void tests.set(name, run), ...options })
  return tests
}

const first = (tests: Map<string, Run>, id: string): Run | undefined => [...tests].find(([name]) => name.startsWith(`${id} `))?.[1]

describe('describeStateStore', () => {
  it('uses the global describe and it if none are passed, and names the group', () => {
    onTestFinished(() => void vi.unstubAllGlobals())
    const groups: string[] = []
    const names: string[] = []
    vi.stubGlobal('describe', (name: string, body: () => void) => {
      groups.push(name)
      body()
    })
    vi.stubGlobal('it', (name: string) => void names.push(name))
    describeStateStore(() => new MemoryStore())
    describeStateStore(() => new MemoryStore(), { name: 'mine' })
    expect(groups).toEqual(['a state store', 'mine'])
    expect(new Set(names)).toEqual(
      new Set(STATE_STORE_RULES.filter(({ needs }) => needs.length === 0).map(({ id, text }) => `${id} ${text}`)),
    )
  })

  it.each([
    ['describe', { it: () => {} }],
    ['it', { describe: () => {} }],
    ['durable', { durable: 'yes' }],
    ['shared', { shared: 1 }],
    ['outage', { outage: 'yes' }],
    ['describe', { describe: 'describe', it: () => {} }],
  ])('rejects a wrong %s with an error that names it', (argument, options) => {
    expect(() => describeStateStore(() => new MemoryStore(), options as unknown as DescribeStateStoreOptions)).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT', argument }),
    )
    expect(() => describeStateStore(new MemoryStore() as unknown as StoreFactory)).toThrow(InvalidArgumentError)
  })

  it('fails a store that is declared durable, shared or with outages if its factory returns no crash, peer or outage', async () => {
    const tests = declaredBy(() => new MemoryStore(), { durable: true, shared: true, outage: true })
    await expect(first(tests, 'J3')?.()).rejects.toThrow('declared durable, but')
    await expect(first(tests, 'P1')?.()).rejects.toThrow('declared shared, but')
    await expect(first(tests, 'O1')?.()).rejects.toThrow('declared to have outages, but')
  })

  it('calls attach of every store before any other method, as a client does', async () => {
    const users: unknown[] = []
    const make = () => {
      const store = new MemoryStore()
      const take = store.take.bind(store)
      let isAttached = false
      return Object.assign(store, {
        attach: (user: StoreUser) => {
          isAttached = true
          users.push(user.baseUrl)
        },
        take: (request: SlotRequest) => (isAttached ? take(request) : 'not attached'),
      })
    }
    const tests = declaredBy(() => ({ store: make(), crash: make, peer: make }), { durable: true, shared: true })
    await first(tests, 'S1')?.()
    expect(users).toEqual(['http://orchestrator.test'])
    await first(tests, 'S15')?.()
    await expect(first(tests, 'P1')?.()).rejects.toThrow('a fifth slot')
    expect(users).toHaveLength(5)
  })

  it('calls close of the factory once for each rule, whether the rule passes or fails', async () => {
    let closed = 0
    const close = () => {
      closed += 1
    }
    const tests = declaredBy(() => ({ store: Object.assign(new MemoryStore(), { claimEnd: () => true }), close }))
    await first(tests, 'S1')?.()
    expect(closed).toBe(1)
    await expect(first(tests, 'E1')?.()).rejects.toThrow('claims: expected [true, false, false, true, false], got')
    expect(closed).toBe(2)
  })

  it.each([
    ['passes for a correct store', 0, 'new MemoryStore()'],
    ['fails for a flawed store', 1, 'Object.assign(new MemoryStore(), { claimEnd: () => true })'],
  ])('%s under node:test, without Vitest', async (_, expected, store) => {
    const { exit, output } = await run(`
      const { describe, it } = await import('node:test')
      const { MemoryStore } = await import('acestream-orchestrator-client')
      const { describeStateStore } = await import('acestream-orchestrator-client/testing')
      describeStateStore(() => ${store}, { describe, it })`)
    const count = STATE_STORE_RULES.filter(({ needs }) => needs.length === 0).length
    expect(output).toMatch(new RegExp(`(tests|pass) ${count}`))
    expect(exit).toBe(expected)
  })
})
