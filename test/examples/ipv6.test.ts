import { describe, expect, it } from 'vitest'
import { EngineError } from '../../examples/proxy/engine-request.ts'
import { openSession } from '../../examples/proxy/playback.ts'
import { failureOf } from '../support/setup.ts'

const CONTENT = { keyType: 'infohash', key: 'a'.repeat(40) } as const

describe('the reference proxy asks an engine by its IPv6 address', () => {
  // Port 9 accepts nothing, with or without IPv6 on this machine: the refusal shows that it was asked, and where.
  it.each(['::1', '[::1]'])('that is listed as %s', async (host) => {
    const failure = await failureOf(openSession({ host, port: 9 }, CONTENT, { scheme: 'http', headerTimeoutMs: 5_000 }))
    expect(failure).toBeInstanceOf(EngineError)
    expect(failure).toMatchObject({ message: expect.stringMatching(/^\[::1\]:9: /) })
  })
})
