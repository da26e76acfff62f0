import { describe, expect, it } from 'vitest'
import { KeepAlive } from '../../src/runtime/timers.ts'
import { STATES, STREAM_TRANSITIONS, type StreamPhase, type StreamTransition } from '../../src/streams/stream-phases.ts'
import { TrackedStream } from '../../src/streams/tracked-stream.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { read } from '../docs/pages.ts'

const RESULT = { outcome: 'delivered', attempts: 1 } as const

/** Lets each event happen to a stream. */
const HAPPEN: Readonly<Record<StreamTransition, (stream: TrackedStream) => void>> = {
  startedAgain: (stream) => stream.startedAgain(),
  startAccepted: (stream) => stream.startAccepted(undefined, 1),
  confirmed: (stream) => stream.confirmed(),
  startGivenUp: (stream) => stream.startGivenUp(false),
  startRejected: (stream) => stream.startRejected(false),
  startDisputed: (stream) => stream.startRejected(true),
  closeBegun: (stream) => stream.closeBegun(Promise.resolve(RESULT)),
  endQueued: (stream) => stream.endQueued(),
  discarded: (stream) => stream.discarded(),
  engineLost: (stream) => stream.engineLost(Promise.resolve(RESULT)),
  endSettled: (stream) => stream.endSettled(),
  slotReleased: (stream) => stream.slotReleased(Promise.resolve()),
}

/** One way from the beginning to each phase. */
const WAYS: Readonly<Record<StreamPhase, readonly StreamTransition[]>> = {
  starting: [],
  unconfirmed: ['startGivenUp'],
  live: ['startAccepted', 'confirmed'],
  rejected: ['startRejected'],
  disputed: ['startDisputed'],
  closing: ['closeBegun'],
  ending: ['endQueued'],
  ended: ['endQueued', 'endSettled'],
  discarded: ['startRejected', 'discarded'],
  lost: ['startGivenUp', 'engineLost'],
}

const PHASES = Object.keys(WAYS) as StreamPhase[]
const EVENTS = Object.keys(HAPPEN) as StreamTransition[]

function streamAfter(...events: StreamTransition[]): TrackedStream {
  const address = { host: 'engine', port: 6_878 }
  const session = { playbackSessionId: 'p', statUrl: 'http://engine:6878/stat', commandUrl: 'http://engine:6878/cmd', isLive: true }
  const ender = { end: async () => RESULT, dispose: async () => {} }
  const alive = new KeepAlive(new ManualClock())
  const start = { streamId: 'x', containerId: 'e', address, keyType: 'infohash', key: 'k', session, labels: {} } as const
  const stream = new TrackedStream(start, { ...address, containerId: 'e' }, ender, alive)
  for (const event of events) HAPPEN[event](stream)
  return stream
}

const streamIn = (phase: StreamPhase): TrackedStream => streamAfter(...WAYS[phase])

describe('the life of a stream', () => {
  const allowed = PHASES.flatMap((from) => Object.entries(STREAM_TRANSITIONS[from]).map(([event, to]) => [from, event, to] as const))

  it.each(allowed)('in the phase %s goes on after %s with the phase %s', (from, event, to) => {
    const stream = streamIn(from)
    HAPPEN[event as StreamTransition](stream)
    expect([stream.phase, stream.state]).toEqual([to, STATES[to]])
  })

  const impossible = PHASES.flatMap((from) =>
    EVENTS.filter((event) => !(event in STREAM_TRANSITIONS[from])).map((event) => [from, event] as const),
  )

  it.each(impossible)('in the phase %s can not go on with %s: that throws and changes nothing', (from, event) => {
    const stream = streamIn(from)
    const before = [stream.phase, stream.announcement, stream.isSlotReleased]
    expect(() => HAPPEN[event](stream)).toThrow(/^Defect: stream x is \w+, and \w+ cannot happen then$/)
    expect([stream.phase, stream.announcement, stream.isSlotReleased]).toEqual(before)
  })

  it('has 120 pairs of a phase and an event, each of which is tested', () => {
    expect(allowed.length + impossible.length).toBe(120)
  })

  const page = read('ARCHITECTURE.md')

  it('is drawn in ARCHITECTURE.md with every event that changes the phase, and with no other', () => {
    const [, diagram = ''] = /```mermaid\nstateDiagram-v2\n([\s\S]*?)```/.exec(page) ?? []
    const drawn = [...diagram.matchAll(/^ {2}(\w+) --> (\w+): (\w+)$/gm)].map(([, from, to, event]) => `${from} -> ${to}: ${event}`)
    const changes = allowed.filter(([from, , to]) => from !== to).map(([from, event, to]) => `${from} -> ${to}: ${event}`)
    expect(drawn.sort()).toEqual(changes.sort())
    const last = PHASES.filter((phase) => !changes.some((change) => change.startsWith(`${phase} ->`)))
    expect([...diagram.matchAll(/^ {2}(\w+) --> \[\*\]$/gm)].map(([, phase]) => phase)).toEqual(last)
  })

  it('is explained in ARCHITECTURE.md with the state that the host sees in each phase', () => {
    const rows = [...page.matchAll(/^\| `(\w+)` \| `(\w+)` \|/gm)].map(([, phase, state]) => [phase, state])
    expect(rows).toEqual(PHASES.map((phase) => [phase, STATES[phase]]))
  })
})

describe('a tracked stream', () => {
  it('is over here in the phases in which its slot may be released, and while its playback is closed before that, and only then', () => {
    const releasing = PHASES.filter((phase) => 'slotReleased' in STREAM_TRANSITIONS[phase])
    expect(PHASES.filter((phase) => streamIn(phase).isOver)).toEqual(['closing', ...releasing])
  })

  it('aborts its `over` signal when it ends, whether the signal was read before or after that', () => {
    const ended = streamIn('live')
    const { over } = ended
    expect(over.aborted).toBe(false)
    ended.endQueued()
    expect([over.aborted, streamIn('lost').over.aborted]).toEqual([true, true])
  })

  it('stays disputed after a further rejection: an attempt before it may have been applied (H4)', () => {
    const stream = streamAfter('startGivenUp')
    stream.startedAgain()
    stream.startGivenUp(true)
    stream.startedAgain()
    stream.startRejected(false)
    expect([stream.phase, stream.announcement]).toEqual(['disputed', 'maybe'])
  })

  it('is known as accepted although a later start of it was given up', () => {
    const stream = streamAfter('startAccepted', 'confirmed', 'startedAgain')
    stream.startGivenUp(true)
    expect([stream.phase, stream.announcement]).toEqual(['unconfirmed', 'accepted'])
  })

  it('has the result of its end, if its engine was lost or its playback is being closed', async () => {
    expect(await streamIn('lost').endUnderWay).toEqual(RESULT)
    expect(await streamIn('closing').endUnderWay).toEqual(RESULT)
    expect(streamIn('ended').endUnderWay).toBeUndefined()
  })

  it('reports a missing engine once, and again only after a pushed list showed the engine', () => {
    const stream = streamIn('live')
    const pushed = (isListed: boolean): boolean => stream.engineListed(isListed, { isPushed: true })
    const requested = (isListed: boolean): boolean => stream.engineListed(isListed, { isPushed: false })
    expect([pushed(false), pushed(false), requested(true), pushed(false)]).toEqual([true, false, false, false])
    expect([pushed(true), pushed(false), requested(false), pushed(false)]).toEqual([false, true, true, false])
  })
})
