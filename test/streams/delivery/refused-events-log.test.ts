import { describe, expect, it } from 'vitest'
import { RecordingLogger } from '../../support/recording-logger.ts'
import { during, playback, setup } from '../../support/setup.ts'

const COUNT = 12

async function world() {
  const logger = new RecordingLogger()
  const made = setup({ generation: '2025-10', engines: 3 }, { logger, maxStreamsPerEngine: 20, reconcileIntervalMs: 10_000 })
  const { client, fake, clock } = made
  const start = async (number: number) => (await client.acquireEngine()).startStream(playback(`${number}`.padStart(40, '0')))
  const streams = await Promise.all(Array.from({ length: COUNT }, (_, number) => start(number)))
  const reject = (status: number) => {
    const routes = ['POST /events/stream_started', 'POST /events/stream_ended']
    const faults = routes.map((route) => fake.inject({ kind: 'status', status, route, times: Number.POSITIVE_INFINITY }))
    return () => {
      for (const fault of faults) fault.remove()
    }
  }
  const count = (text: string) => logger.logged.filter((line) => line.includes(text)).length
  const errors = () => logger.logged.filter((line) => line.startsWith('error'))
  return { client, clock, logger, start, streams, reject, count, errors }
}

describe('rejected events of 12 streams', () => {
  it('cause one error line for all ends, and one line when ends are delivered again', async () => {
    const { clock, streams, reject, count, errors } = await world()
    const accept = reject(422)
    // One stream stays live, so that the client keeps reconciling.
    await during(clock, Promise.all(streams.slice(1).map((stream) => stream.end())))
    await clock.advance(120_000)
    expect(errors()).toEqual([expect.stringContaining('The end of a stream could not be delivered')])
    expect(count('A stream that was ended is still listed; it is ended again')).toBe(1)
    accept()
    await clock.advance(120_000)
    expect(count('Ending streams works again')).toBe(1)
  })

  it('cause no error line but the one about the API key if the key is rejected', async () => {
    const { clock, streams, reject, count, errors } = await world()
    reject(403)
    await during(clock, Promise.all(streams.map((stream) => stream.end())))
    await clock.advance(120_000)
    expect(errors()).toEqual([expect.stringContaining('rejects the API key')])
    expect(count('The end of a stream could not be delivered')).toBe(1)
  })

  it('cause one error line for each status', async () => {
    const { clock, streams, reject, errors } = await world()
    const accept = reject(422)
    await during(clock, Promise.all(streams.slice(0, 6).map((stream) => stream.end())))
    accept()
    reject(404)
    await during(clock, Promise.all(streams.slice(6).map((stream) => stream.end())))
    expect(errors()).toHaveLength(2)
  })

  it('cause a line for each stream, all but the first at debug level', async () => {
    const { clock, logger, streams, reject } = await world()
    reject(422)
    await during(clock, Promise.all(streams.map((stream) => stream.end())))
    const lines = logger.all.filter(({ message }) => message.startsWith('The end of a stream could not be delivered'))
    expect(new Set(lines.map(({ fields }) => Reflect.get(fields, 'streamId'))).size).toBe(COUNT)
  })
})
