import { Console } from 'node:console'
import { Writable } from 'node:stream'
import { ConnectionError, type Logger } from 'acestream-orchestrator-client'
import bunyan from 'bunyan'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { guardLogger } from '../../src/runtime/logger.ts'
import { playback, setup } from '../support/setup.ts'

/** A writable stream that keeps the text that is written to it. */
function sink() {
  let text = ''
  const stream = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk)
      done()
    },
  })
  const lines = (): Record<string, unknown>[] =>
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
  return { stream, lines, text: () => text }
}

const error = new ConnectionError('The connection was refused', { maybeProcessed: false, cause: new Error('connect ECONNREFUSED') })
const asWritten = (message: string) => ({
  msg: message,
  containerId: 'c-1',
  err: { message: expect.stringContaining('The connection was refused'), stack: expect.stringContaining('loggers.test.ts') },
})

describe('pino', () => {
  it.each(['debug', 'info', 'warn', 'error'] as const)(
    'needs no adapter: the fields and the error of a line at level %s are written',
    (level) => {
      const { stream, lines } = sink()
      const logger: Logger = pino({ level: 'debug' }, stream)
      for (const each of [logger, pino({ level: 'debug' }, stream).child({ proxy: 'p-1' })])
        guardLogger(each)[level]('A line', { containerId: 'c-1', error })
      expect(lines()).toMatchObject([asWritten('A line'), { ...asWritten('A line'), proxy: 'p-1' }])
      expect(lines()[0]).toMatchObject({ err: { type: 'ConnectionError', code: 'CONNECTION' } })
      expect(lines()[0]).not.toHaveProperty('error')
    },
  )

  it('respects a level that is set later, and writes a line without fields', () => {
    const { stream, lines } = sink()
    const logger = pino({ level: 'error' }, stream)
    const safe = guardLogger(logger)
    safe.warn('too low')
    logger.level = 'warn'
    safe.warn('high enough')
    expect(lines().map(({ msg }) => msg)).toEqual(['high enough'])
  })

  it('writes the fields and the error of a retried start if it is the logger of a client', async () => {
    const { stream, lines } = sink()
    const { client, fake, clock } = setup({}, { logger: pino(stream) })
    const lease = await client.acquireEngine()
    fake.inject({ kind: 'reset-after', route: 'POST /events/stream_started' })
    await lease.startStream({ ...playback(), streamId: 'stream-1' })
    await clock.advance(1_000)
    expect(lines()).toContainEqual(
      expect.objectContaining({
        level: 40,
        streamId: 'stream-1',
        err: expect.objectContaining({ code: 'CONNECTION', stack: expect.any(String) }),
      }),
    )
  })
})

describe('bunyan', () => {
  it.each([
    ['without serialisers', {}],
    ['with its own serialisers', { serializers: bunyan.stdSerializers }],
  ])('needs no adapter %s: the fields and the error of a line are written', (_, options) => {
    const { stream, lines } = sink()
    const logger: Logger = bunyan.createLogger({ name: 'proxy', stream, level: 'debug', ...options })
    for (const level of ['debug', 'info', 'warn', 'error'] as const) guardLogger(logger)[level]('A line', { containerId: 'c-1', error })
    guardLogger(logger).warn('Another', { error: 'thrown text' })
    guardLogger(logger).warn('Bare')
    expect(lines()).toMatchObject([
      ...[20, 30, 40, 50].map((level) => ({ ...asWritten('A line'), level })),
      { msg: 'Another', err: expect.anything() },
      { msg: 'Bare', name: 'proxy' },
    ])
  })
})

describe('a client', () => {
  it.each([
    ['bunyan', (stream: Writable): Logger => bunyan.createLogger({ name: 'proxy', stream, level: 'debug' }), '"streamId":"stream-1"'],
    ['console', (stream: Writable): Logger => new Console(stream), "streamId: 'stream-1'"],
  ])('writes the fields and the error of a retried start with %s as it is', async (_, makeLogger, field) => {
    const { stream, text } = sink()
    const { client, fake, clock } = setup({}, { logger: makeLogger(stream) })
    const lease = await client.acquireEngine()
    fake.inject({ kind: 'reset-after', route: 'POST /events/stream_started' })
    await lease.startStream({ ...playback(), streamId: 'stream-1' })
    await clock.advance(1_000)
    expect(text()).toContain(field)
    expect(text()).toMatch(/ConnectionError[\s\S]*(?:\n|\\n) +at /)
  })
})

describe('other loggers', () => {
  it('console needs no adapter: it writes the message first, then the fields and the error', () => {
    const { stream, text } = sink()
    const logger: Logger = new Console(stream)
    guardLogger(logger).warn('A line', { containerId: 'c-1', error })
    expect(text()).toMatch(/^A line \{\n? *containerId: 'c-1',\n? *error: ConnectionError: The connection was refused\n +at /)
  })

  it('a logger of the host is called as a method of its object, with the message first and the error in the field error', () => {
    class Own {
      readonly lines: unknown[] = []
      readonly levels = {}
      readonly fields = {}
      debug(...line: unknown[]) {
        this.lines.push(line)
      }
      info = this.debug
      warn = this.debug
      error = this.debug
      child() {
        return this
      }
    }
    const own = new Own()
    guardLogger(own).error('A line', { error })
    guardLogger(own).info('Bare')
    expect(own.lines).toEqual([
      ['A line', { error }],
      ['Bare', undefined],
    ])
  })
})
