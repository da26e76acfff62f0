import { ConnectionError, PlaybackError } from 'acestream-orchestrator-client'
import { expect, it } from 'vitest'
import { jsonLogger } from '../../examples/proxy/log.ts'

it('a line of the log has the name, the message and the causes of an error, also of one that has JSON of its own', () => {
  const lines: unknown[] = []
  const log = jsonLogger('info', (line) => lines.push(JSON.parse(line)))
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { socket: { secret: 's3cr3t' } })
  const connection = new ConnectionError('GET http://orchestrator: no answer', { maybeProcessed: false, cause: refused })
  const playback = new PlaybackError('No engine could play it', { attempts: [], retryAfterMs: 1, cause: connection })
  log.error('failed', { error: playback, nested: { errors: [refused] }, none: null })
  const shownRefused = { name: 'Error', message: refused.message }
  const shownConnection = { name: 'ConnectionError', message: connection.message, cause: shownRefused }
  expect(lines).toEqual([
    {
      time: expect.any(String),
      level: 'error',
      message: 'failed',
      error: { name: 'PlaybackError', message: playback.message, cause: shownConnection },
      nested: { errors: [shownRefused] },
      none: null,
    },
  ])
})
