import { ManualClock } from 'acestream-orchestrator-client/testing'
import { expect, it, vi } from 'vitest'
import { MemoryCache } from '../../src/runtime/cache.ts'

it('the default cache stores a value that comes before its library is loaded, and later values at once', async () => {
  const cache = new MemoryCache(new ManualClock())
  expect(cache.get('list')).toBeUndefined()
  const [first, second] = [['a'], ['b']]
  await cache.set('list', first, 1_000)
  expect(cache.get('list')).toBe(first)
  void cache.set('list', second, 1_000)
  expect(cache.get('list')).toBe(second)
  cache.delete('list')
  expect(cache.get('list')).toBeUndefined()
})

it('a value that is deleted before the library of the default cache is loaded does not come back', async () => {
  vi.resetModules()
  const { MemoryCache: NewCache } = await import('../../src/runtime/cache.ts')
  const cache = new NewCache(new ManualClock())
  await Promise.all([cache.set('list', ['a']), cache.delete('list')])
  expect(cache.get('list')).toBeUndefined()
})
