import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MalformedResponseError } from '../../src/errors.ts'
import { readEvents, type ServerSentEvent } from '../../src/orchestrator/push-source.ts'
import { rejection } from './stub-orchestrator.ts'

const never = new AbortController().signal

async function* inPieces(pieces: readonly (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  yield* pieces
}

async function eventsOf(pieces: readonly (string | Uint8Array)[]): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = []
  await readEvents(inPieces(pieces), never, (event) => void events.push(event))
  return events
}

const TEXT =
  ': keep-alive\n\nevent: full_sync\ndata: {"name":"日本語 🎬"}\n\nevent: vpn.up\r\ndata: 1\r\ndata: 2\r\n\r\ndata: unnamed\n\nevent: cut\ndata: off'

describe('an event stream', () => {
  it('is read event by event, without its comments and without an incomplete last event', async () => {
    expect(await eventsOf([TEXT])).toEqual([
      { name: 'full_sync', data: '{"name":"日本語 🎬"}' },
      { name: 'vpn.up', data: '1\n2' },
      { name: undefined, data: 'unnamed' },
    ])
  })

  it('yields the same events however it is split into chunks, also within a line, a character or a line end', async () => {
    const bytes = new TextEncoder().encode(TEXT)
    const whole = await eventsOf([TEXT])
    const cuts = fc.array(fc.integer({ min: 0, max: bytes.length }), { maxLength: 30 })
    await fc.assert(
      fc.asyncProperty(cuts, async (at) => {
        const sorted = [0, ...at.toSorted((a, b) => a - b), bytes.length]
        const pieces = sorted.slice(1).map((end, index) => bytes.slice(sorted[index], end))
        expect(await eventsOf(pieces)).toEqual(whole)
      }),
      { seed: 20_251_124 },
    )
  })

  it.each([
    ['in one line', 'data: '],
    ['in many lines', '\ndata: '],
  ])('is rejected as malformed, and not read to its end, if an event is larger than 8 MiB: %s', async (_, prefix) => {
    let read = 0
    async function* endless(): AsyncGenerator<string> {
      yield 'data: '
      for (; read < 100; read += 1) yield `${prefix}${'x'.repeat(2 ** 20)}`
    }
    expect(await rejection(readEvents(endless(), never, () => {}))).toBeInstanceOf(MalformedResponseError)
    expect(read).toBeLessThan(10)
  })

  it('rejects with the error of its connection if that breaks', async () => {
    const broken = new Error('reset')
    async function* body(): AsyncGenerator<string> {
      yield 'data: 1\n\n'
      throw broken
    }
    expect(await rejection(readEvents(body(), never, () => {}))).toBe(broken)
  })

  it('stops at once when its signal aborts, even if its body never settles', async () => {
    const leaving = new AbortController()
    let isReturned = false
    const hanging: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: () => {
          isReturned = true
          return new Promise(() => {})
        },
      }),
    }
    const reading = readEvents(hanging, leaving.signal, () => {})
    leaving.abort('left')
    expect(await rejection(reading)).toBe('left')
    expect(isReturned).toBe(true)
  })
})
