import { describe, expect, it } from 'vitest'
import { KeyedQueue } from '../../../src/streams/delivery/ordering.ts'

/** Tasks that end when told to, and a log of what happened. */
function tasks() {
  const chains = new KeyedQueue()
  const log: string[] = []
  const run = (key: string, name: string) => {
    const gate = Promise.withResolvers<void>()
    const result = chains.run(key, async () => {
      log.push(`${name} begins`)
      await gate.promise
      log.push(`${name} ends`)
      return name
    })
    return { ...gate, result }
  }
  return { run, log }
}

describe('tasks of one key', () => {
  it('run one after the other, in the order they came, those included that come late', async () => {
    const { run, log } = tasks()
    const first = run('x', 'first')
    const second = run('x', 'second')
    first.resolve()
    await first.result
    const third = run('x', 'third') // the second is still running
    await Promise.resolve()
    third.resolve()
    second.resolve()
    expect(await Promise.all([second.result, third.result])).toEqual(['second', 'third'])
    expect(log).toEqual(['first begins', 'first ends', 'second begins', 'second ends', 'third begins', 'third ends'])
  })

  it('go on after one that failed', async () => {
    const { run, log } = tasks()
    const first = run('x', 'first')
    const second = run('x', 'second')
    first.reject(new Error('failed'))
    second.resolve()
    await expect(first.result).rejects.toThrow('failed')
    expect(await second.result).toBe('second')
    expect(log).toEqual(['first begins', 'second begins', 'second ends'])
  })

  it('begin in the very call where nothing is before them', () => {
    const { run, log } = tasks()
    run('x', 'first')
    run('y', 'other')
    expect(log).toEqual(['first begins', 'other begins'])
  })
})
