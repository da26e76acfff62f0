import { describe, expect, it } from 'vitest'
import { KeyedQueue } from '../../../src/streams/delivery/ordering.ts'

/** Tasks that finish when their `resolve()` is called, and a log of when each began and ended. */
function tasks() {
  const queue = new KeyedQueue()
  const log: string[] = []
  const run = (key: string, name: string) => {
    const gate = Promise.withResolvers<void>()
    const result = queue.run(key, async () => {
      log.push(`${name} begins`)
      await gate.promise
      log.push(`${name} ends`)
      return name
    })
    return { ...gate, result }
  }
  return { run, log }
}

describe('tasks with the same key', () => {
  it('run one after the other in the order they were added, also if one is added while another runs', async () => {
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

  it('continue after one of them fails', async () => {
    const { run, log } = tasks()
    const first = run('x', 'first')
    const second = run('x', 'second')
    first.reject(new Error('failed'))
    second.resolve()
    await expect(first.result).rejects.toThrow('failed')
    expect(await second.result).toBe('second')
    expect(log).toEqual(['first begins', 'second begins', 'second ends'])
  })

  it('begin synchronously if no task with their key is running', () => {
    const { run, log } = tasks()
    run('x', 'first')
    run('y', 'other')
    expect(log).toEqual(['first begins', 'other begins'])
  })
})
