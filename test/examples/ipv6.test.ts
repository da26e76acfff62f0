import { describe, expect, it } from 'vitest'
import { EngineError } from '../../examples/proxy/engine-request.ts'
import { openSession } from '../../examples/proxy/playback.ts'
import { failureOf } from '../support/setup.ts'

const CONTENT = { keyType: 'infohash', key: 'a'.repeat(40) } as const

describe('a session request to an engine', () => {
  // Port 9 refuses connections, even on a machine without IPv6. The error shows the address of the request.
  it.each(['::1', '[::1]'])('goes to [::1] if the engine is listed with the IPv6 address %s', async (host) => {
    const failure = await failureOf(openSession({ host, port: 9 }, CONTENT, { scheme: 'http', headerTimeoutMs: 5_000 }))
    expect(failure).toBeInstanceOf(EngineError)
    expect(failure).toMatchObject({ message: expect.stringMatching(/^\[::1\]:9: /) })
  })
})
