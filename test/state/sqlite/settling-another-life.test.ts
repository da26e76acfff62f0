import { describe, expect, it } from 'vitest'
import { copyAsIs, newPath, open } from './files.ts'

const entry = (life?: string) => ({ streamId: 'x', proxyId: 'proxy-1', isOver: false, ...(life === undefined ? {} : { life }) })

/** What the successor of a process that wrote `entry` and died recovers, after it settled `settled`. */
function leftAfter(written: string | undefined, settled: string | undefined): readonly unknown[] {
  const path = newPath()
  open(path).append(entry(written))
  const copy = copyAsIs(path)
  const successor = open(copy)
  successor.settle('x', settled)
  const left = successor.recover()
  expect(open(copyAsIs(copy)).recover()).toEqual(left)
  return left
}

describe('the journal of a SQLite store', () => {
  it('keeps what a predecessor left of another life of a stream that is settled', () => {
    expect(leftAfter('one', 'two')).toEqual([entry('one')])
  })

  it.each([
    ['the same life', 'one', 'one'],
    ['a life that is not known', 'one', undefined],
    ['a life that the entry does not name', undefined, 'one'],
  ])('strikes out what a predecessor left when %s is settled', (_, written, settled) => {
    expect(leftAfter(written, settled)).toEqual([])
  })

  it('strikes out what this process wrote or took over, whatever its life', () => {
    const path = newPath()
    const store = open(path)
    store.append(entry('one'))
    store.settle('x', 'two')
    expect(open(copyAsIs(path)).recover()).toEqual([])
    store.append(entry('three'))
    const copy = copyAsIs(path)
    const successor = open(copy)
    expect(successor.recover()).toEqual([entry('three')])
    successor.settle('x', 'four')
    expect(open(copyAsIs(copy)).recover()).toEqual([])
  })
})
