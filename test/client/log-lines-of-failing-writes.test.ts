import { expect, it } from 'vitest'
import { RecordingLogger } from '../support/recording-logger.ts'
import { playback, setup } from '../support/setup.ts'

it('an outage in which only writes fail is logged once when the circuit opens and once when it closes', async () => {
  const logger = new RecordingLogger()
  const { client, clock, fake } = setup({ generation: '2025-10', engines: 10 }, { logger })
  const leases = await Promise.all(Array.from({ length: 10 }, () => client.acquireEngine()))
  const faults = ['POST /events/stream_started', 'POST /events/stream_ended'].map((route) =>
    fake.inject({ kind: 'status', status: 503, route, times: Number.POSITIVE_INFINITY }),
  )
  const starts = leases.map((lease, number) => lease.startStream(playback(`${number}`.padStart(40, '0'))))
  for (let second = 0; second < 60; second += 1) {
    void client.listEngines().catch(() => {})
    await clock.advance(1_000)
  }
  const circuit = () => logger.logged.filter((line) => line.includes('The orchestrator at'))
  expect(circuit()).toEqual(['warn | The orchestrator at http://orchestrator.test/ is failing; requests stop until it answers again'])
  const opened = logger.all.find(({ message }) => message.includes('requests stop until it answers again'))
  expect(opened?.fields).toMatchObject({ error: { status: 503 } })
  expect(logger.all.filter(({ message }) => message.includes('is failing; requests stop until it answers again')).length).toBeGreaterThan(1)
  for (const fault of faults) fault.remove()
  await clock.advance(60_000)
  await Promise.all(starts)
  expect(circuit().slice(1)).toEqual(['info | The orchestrator at http://orchestrator.test/ answers again'])
  expect(logger.logged.filter((line) => line.includes('engine list'))).toEqual([])
  expect(logger.logged).toHaveLength(4)
})
