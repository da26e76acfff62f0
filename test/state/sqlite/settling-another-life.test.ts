import { describe, expect, it } from 'vitest'
import { copyAsIs, newPath, open } from './files.ts'

const entry = (life?: string) => ({ streamId: 'x', proxyId: 'proxy-1', isOver: false, ...(life === undefined ? {} : { life }) })

/** One process writes an entry of the life `written` and dies. The next settles the life `settled`. Returns the entries that are left. */
async function leftAfter(written: string | undefined, settled: string | undefined): Promise<readonly unknown[]> {
  const path = newPath()
  await open(path).append(entry(written))
  const copy = copyAsIs(path)
  const successor = open(copy)
  await successor.settle('x', settled)
  const left = successor.recover()
  expect(open(copyAsIs(copy)).recover()).toEqual(left)
  return left
}

describe('the journal of a SQLite store', () => {
  it('keeps the entry of a dead process when another life of the stream is settled', async () => {
    expect(await leftAfter('one', 'two')).toEqual([entry('one')])
  })

  it.each([
    ['the same life', 'one', 'one'],
    ['an unknown life', 'one', undefined],
    ['a life that the entry does not name', undefined, 'one'],
  ])('removes the entry of a dead process when %s is settled', async (_, written, settled) => {
    expect(await leftAfter(written, settled)).toEqual([])
  })

  it('removes an entry that this process wrote or recovered, whichever life of the stream is settled', async () => {
    const path = newPath()
    const store = open(path)
    await store.append(entry('one'))
    await store.settle('x', 'two')
    expect(open(copyAsIs(path)).recover()).toEqual([])
    await store.append(entry('three'))
    const copy = copyAsIs(path)
    const successor = open(copy)
    expect(successor.recover()).toEqual([entry('three')])
    await successor.settle('x', 'four')
    expect(open(copyAsIs(copy)).recover()).toEqual([])
  })
})
