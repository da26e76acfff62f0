import { ConnectionError } from 'acestream-orchestrator-client'
import { ManualClock } from 'acestream-orchestrator-client/testing'
import { describe, expect, it } from 'vitest'
import { CircuitBreaker } from '../../src/orchestrator/circuit-breaker.ts'
import { Sequence } from '../../src/runtime/sequence.ts'
import { failureOf } from '../support/setup.ts'

const failure = new ConnectionError('refused', { maybeProcessed: false })

/** A breaker that opens for 1 s after two failures. The test settles its probes. */
function world() {
  const clock = new ManualClock()
  const events: string[] = []
  const probes: PromiseWithResolvers<void>[] = []
  const send = () => {
    const probe = Promise.withResolvers<void>()
    probes.push(probe)
    return probe.promise
  }
  const sequence = new Sequence()
  const circuit = new CircuitBreaker({
    clock,
    sequence,
    url: 'http://a',
    probe: { route: '', send },
    failureThreshold: 2,
    resetAfterMs: 1_000,
    onOpened: () => events.push('opened'),
    onClosed: () => events.push('closed'),
    onRecovered: () => {},
  })
  const fail = (times: number): void => {
    for (let i = 0; i < times; i += 1) circuit.record(circuit.epoch, failure)
  }
  const waiting = () => circuit.whenClosed(new AbortController().signal)
  return { clock, sequence, events, probes, circuit, fail, waiting }
}

describe('a circuit breaker', () => {
  it('sends no probe after the only waiting caller has aborted', async () => {
    const { clock, circuit, fail, probes } = world()
    fail(2)
    const abort = new AbortController()
    const waiting = failureOf(circuit.whenClosed(abort.signal))
    abort.abort('gone')
    expect(await waiting).toBe('gone')
    await clock.advance(10_000)
    expect([probes.length, clock.pendingCount]).toEqual([0, 0])
  })

  it('sends no second probe after a failed one if no caller waits', async () => {
    const { clock, circuit, fail, probes } = world()
    fail(2)
    await clock.advance(1_000)
    expect(() => circuit.enter(true)).toThrow('has been failing')
    probes[0]?.reject(failure)
    await clock.advance(60_000)
    expect([probes.length, clock.pendingCount]).toEqual([1, 0])
  })

  it('counts failures from 0 after it closed, and callers of the next outage wait until it closes again', async () => {
    const { clock, events, probes, circuit, fail, waiting } = world()
    for (let time = 0; time < 2; time += 1) {
      fail(1)
      expect(circuit.state).toBe('closed')
      fail(1)
      expect(circuit.state).toBe('open')
      let isResumed = false
      const resumed = waiting().then(() => {
        isResumed = true
      })
      await clock.advance(999)
      expect([isResumed, probes.length]).toEqual([false, time])
      await clock.advance(1)
      probes[time]?.resolve()
      await resumed
    }
    expect(events).toEqual(['opened', 'closed', 'opened', 'closed'])
  })

  it('numbers each time it closes, so that a list requested before is known to be older', async () => {
    const { clock, sequence, probes, circuit, fail, waiting } = world()
    expect(circuit.closedSequence).toBe(0)
    fail(2)
    const requestedBefore = sequence.next()
    const resumed = waiting()
    await clock.advance(1_000)
    probes[0]?.resolve()
    await resumed
    expect(circuit.closedSequence).toBeGreaterThan(requestedBefore)
    expect(circuit.closedSequence).toBeLessThan(sequence.next())
  })

  it('reports no change and arms no timer after dispose()', async () => {
    const { clock, events, probes, circuit, fail } = world()
    fail(2)
    await clock.advance(1_000)
    expect(() => circuit.enter(true)).toThrow('has been failing')
    circuit.dispose()
    probes[0]?.resolve()
    await clock.settle()
    expect([events, clock.pendingCount]).toEqual([['opened'], 0])
  })
})
