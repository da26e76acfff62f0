import { type JournalEntry, MemoryStore } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { Sequence } from '../../src/runtime/sequence.ts'
import { ObservedStreams } from '../../src/streams/delivery/observation.ts'
import { lifeListed } from '../../src/streams/life.ts'
import { endedLedger } from '../support/ended-ledger.ts'

const listed = (id: string, session = 'first') => ({
  id,
  keyType: 'infohash',
  key: 'k',
  containerId: 'e',
  playbackSessionId: session,
  statUrl: 'http://engine:6878/stat',
  commandUrl: 'http://engine:6878/cmd',
  isLive: true,
  status: 'started',
})

const LIFE = lifeListed(listed('x'))

describe('a stream that is over', () => {
  it('counts as over in a list that was requested before its end was acknowledged, but not in a later list', () => {
    const sequence = new Sequence()
    const ledger = endedLedger({ sequence })
    const before = sequence.next()
    ledger.markOver('x')
    const meanwhile = sequence.next()
    ledger.delivered('x', '')
    const after = sequence.next()
    expect([before, meanwhile, after].map((requestedAt) => ledger.isOver('x', requestedAt))).toEqual([true, true, false])
    expect(ledger.isOver('never seen', before)).toBe(false)
  })

  it('counts as over in every list until its end is acknowledged', () => {
    const sequence = new Sequence()
    const ledger = endedLedger({ sequence })
    ledger.markOver('x')
    ledger.forgetBefore(sequence.next())
    expect(ledger.isOver('x', sequence.next())).toBe(true)
  })

  it('no longer counts as over when it starts again, even if its end is acknowledged after that', () => {
    const ledger = endedLedger()
    ledger.markOver('x')
    ledger.markNotOver('x')
    ledger.delivered('x', '')
    expect(ledger.isOver('x', 0)).toBe(false)
  })

  it('counts as over in older lists if another process has ended it', () => {
    const sequence = new Sequence()
    const ledger = endedLedger({ sequence })
    const before = sequence.next()
    ledger.markEnded('x')
    expect([ledger.isOver('x', before), ledger.isOver('x', sequence.next())]).toEqual([true, false])
    expect([ledger.statusOf('x'), ledger.isOwn('x')]).toEqual([undefined, false])
  })

  it('[I7] is forgotten first of all if more streams are over than the maximum', () => {
    const ledger = endedLedger({ max: 3 })
    for (const id of ['a', 'b', 'c', 'd']) ledger.markOver(id)
    expect(['a', 'b', 'c', 'd'].map((id) => ledger.isOver(id, 0))).toEqual([false, true, true, true])
  })
})

describe('the status of an id', () => {
  it('is unknown at first, `ending` while an end of it is queued or sent, and `ended` after that', async () => {
    const ledger = endedLedger()
    expect(ledger.statusOf('x')).toBeUndefined()
    const first = Promise.withResolvers<void>()
    const second = Promise.withResolvers<void>()
    const ends = [first, second].map(({ promise }) => ledger.whileEnding('x', () => promise))
    await ledger.claim('x', LIFE)
    const whileBoth = ledger.statusOf('x')
    first.resolve()
    await ends[0]
    const whileSecond = ledger.statusOf('x')
    second.resolve()
    await ends[1]
    expect([whileBoth, whileSecond, ledger.statusOf('x')]).toEqual(['ending', 'ending', 'ended'])
  })

  it('is no longer `ending` if the work of an end fails', async () => {
    const ledger = endedLedger()
    await expect(ledger.whileEnding('x', () => Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    expect(ledger.statusOf('x')).toBeUndefined()
  })

  it('is `unapplied` from the time its end is given up until it is delivered, however often it is claimed', async () => {
    const ledger = endedLedger()
    await ledger.claim('x', LIFE)
    await ledger.gaveUp('x', LIFE)
    await ledger.claim('x', LIFE)
    expect([ledger.statusOf('x'), ledger.isUnapplied('x'), ledger.isOwn('x')]).toEqual(['unapplied', true, true])
    ledger.delivered('x', LIFE)
    expect([ledger.statusOf('x'), ledger.isUnapplied('x'), ledger.isOwn('x')]).toEqual(['ended', false, true])
  })

  it('is `delegated` if another process claimed its end first, until a later list does not show the stream', async () => {
    const sequence = new Sequence()
    const ledger = endedLedger({ sequence })
    ledger.delegated('x', LIFE)
    expect([ledger.statusOf('x'), ledger.mayRemember]).toEqual(['delegated', true])
    await ledger.settleUnlisted(new ObservedStreams(new Map([['x', listed('x')]])), sequence.next())
    expect(ledger.statusOf('x')).toBe('delegated')
    await ledger.settleUnlisted(new ObservedStreams(new Map()), sequence.next())
    expect(ledger.statusOf('x')).toBe('ended')
  })

  it('is `never-announced` after a rejected start, until the id starts again', async () => {
    const ledger = endedLedger()
    ledger.markNeverAnnounced('x')
    expect([ledger.statusOf('x'), ledger.isOwn('x')]).toEqual(['never-announced', false])
    await ledger.unclaim('x')
    expect(ledger.statusOf('x')).toBeUndefined()
  })

  it('stays `unapplied` if a later life of the id is never announced: the first life still has to be ended', async () => {
    const ledger = endedLedger()
    await ledger.gaveUp('x', LIFE)
    ledger.markNeverAnnounced('x')
    expect(ledger.statusOf('x')).toBe('unapplied')
    expect(await ledger.endedAmong([listed('x'), listed('x', 'second')])).toEqual([listed('x')])
  })

  it('is forgotten after the retention if nothing is left to do', async () => {
    const clock = new ManualClock()
    const ledger = endedLedger({ clock })
    await ledger.claim('ended', LIFE)
    ledger.markNeverAnnounced('rejected')
    await ledger.gaveUp('unapplied', LIFE)
    await clock.advance(1_000)
    await ledger.forget()
    expect(['ended', 'rejected', 'unapplied'].map((id) => ledger.statusOf(id))).toEqual([undefined, undefined, 'unapplied'])
    expect(ledger.mayRemember).toBe(true)
  })

  it('[I7] is remembered for no more ids than the maximum, of each status; the journal entry of a forgotten end is settled', async () => {
    const settled: string[] = []
    const store = Object.assign(new MemoryStore(), { settle: (streamId: string) => void settled.push(streamId) })
    const ledger = endedLedger({ max: 2, store })
    for (const id of ['a', 'b', 'c']) await ledger.claim(id, LIFE)
    for (const id of ['d', 'e', 'f']) await ledger.gaveUp(id, LIFE)
    for (const id of ['g', 'h', 'i']) ledger.markNeverAnnounced(id)
    expect([...'abcdefghi'].filter((id) => ledger.statusOf(id) !== undefined)).toEqual(['b', 'c', 'e', 'f', 'h', 'i'])
    expect(settled).toEqual(['d'])
  })
})

describe('an end by id that was given up', () => {
  it('is sent again only to the life that a list shows', async () => {
    const appended: JournalEntry[] = []
    const store = Object.assign(new MemoryStore(), { append: (entry: JournalEntry) => void appended.push(entry) })
    const ledger = endedLedger({ store })
    await ledger.gaveUp('x', '')
    await ledger.identify('x', new ObservedStreams(new Map([['x', listed('x')]])), 'zapped')
    expect(appended).toEqual([{ streamId: 'x', reason: 'zapped', isOver: true, life: LIFE, proxyId: 'proxy' }])
    expect(await ledger.endedAmong([listed('x', 'second')])).toEqual([])
    expect(await ledger.endedAmong([listed('x')])).toEqual([listed('x')])
  })

  it('is forgotten if no list shows the stream: nothing is left to end', async () => {
    const ledger = endedLedger()
    await ledger.gaveUp('x', '')
    await ledger.identify('x', new ObservedStreams(new Map()), undefined)
    expect(ledger.statusOf('x')).toBeUndefined()
  })
})
