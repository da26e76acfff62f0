import { describe, expect, it } from 'vitest'
import { Lines } from '../../support/lines.ts'
import { during, playback, setup } from '../../support/setup.ts'

const COUNT = 12

async function world() {
  const logger = new Lines()
  const made = setup({ generation: '2025-10', engines: 3 }, { logger, maxStreamsPerEngine: 20, reconcileIntervalMs: 10_000 })
  const { client, fake, clock } = made
  const start = async (number: number) => (await client.acquireEngine()).startStream(playback(`${number}`.padStart(40, '0')))
  const streams = await Promise.all(Array.from({ length: COUNT }, (_, number) => start(number)))
  const refuse = (status: number) => {
    const routes = ['POST /events/stream_started', 'POST /events/stream_ended']
    const faults = routes.map((route) => fake.inject({ kind: 'status', status, route, times: Number.POSITIVE_INFINITY }))
    return () => {
      for (const fault of faults) fault.remove()
    }
  }
  const count = (text: string) => logger.told.filter((line) => line.includes(text)).length
  const errors = () => logger.told.filter((line) => line.startsWith('error'))
  return { client, clock, logger, start, streams, refuse, count, errors }
}

describe('events of many streams that the orchestrator refuses', () => {
  it('are one error line for the ends, and one line when they are delivered again', async () => {
    const { clock, streams, refuse, count, errors } = await world()
    const accept = refuse(422)
    // One stays: a client without live streams compares none.
    await during(clock, Promise.all(streams.slice(1).map((stream) => stream.end())))
    await clock.advance(120_000)
    expect(errors()).toEqual([expect.stringContaining('The end of a stream could not be delivered')])
    expect(count('A stream that was ended here is listed; it is ended again')).toBe(1)
    accept()
    await clock.advance(120_000)
    expect(count('Ending streams works again')).toBe(1)
  })

  it('are no error lines beside that of the key where the key is rejected', async () => {
    const { clock, streams, refuse, count, errors } = await world()
    refuse(403)
    await during(clock, Promise.all(streams.map((stream) => stream.end())))
    await clock.advance(120_000)
    expect(errors()).toEqual([expect.stringContaining('rejects the API key')])
    expect(count('The end of a stream could not be delivered')).toBe(1)
  })

  it('are one line for each further cause', async () => {
    const { clock, streams, refuse, errors } = await world()
    const accept = refuse(422)
    await during(clock, Promise.all(streams.slice(0, 6).map((stream) => stream.end())))
    accept()
    refuse(404)
    await during(clock, Promise.all(streams.slice(6).map((stream) => stream.end())))
    expect(errors()).toHaveLength(2)
  })

  it('are a debug line each', async () => {
    const { clock, logger, streams, refuse } = await world()
    refuse(422)
    await during(clock, Promise.all(streams.map((stream) => stream.end())))
    const lines = logger.all.filter(({ message }) => message.startsWith('The end of a stream could not be delivered'))
    expect(new Set(lines.map(({ fields }) => Reflect.get(fields, 'streamId'))).size).toBe(COUNT)
  })
})
