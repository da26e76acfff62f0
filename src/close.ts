import { ClientClosedError } from './errors.ts'
import type { Clock, Timer } from './runtime/clock.ts'
import type { PendingEvent } from './streams/delivery/outbox.ts'
import type { ClientParts } from './wiring.ts'

/** Result of closing a client. */
export interface CloseReport {
  /** Number of streams that were live when the client closed, and whose ends need no further attempt. */
  readonly delivered: number
  /** Events that may not have reached the orchestrator. */
  readonly undelivered: readonly PendingEvent[]
}

/** Ends the live streams, waits up to `timeoutMs` for all pending work, then disposes of all parts. */
export async function shutDown(parts: ClientParts, clock: Clock, lifetime: AbortController, timeoutMs: number): Promise<CloseReport> {
  const {
    allocator,
    provisioner,
    leases,
    registry,
    ender,
    live,
    outbox,
    circuit,
    emitter,
    reconcileSchedule,
    crashRecovery,
    watch,
    playbacks,
  } = parts
  // Also report events that were pending before the close: the calls that queued them may have returned long ago.
  const failed = outbox.collectFailures()
  let delivered = 0
  reconcileSchedule.stop()
  crashRecovery.stop()
  watch.close()
  circuit?.probeFaster()
  allocator.close()
  playbacks.close()
  registry.close()
  // A stream whose playback is being closed has its end in the outbox already.
  const liveStreams = live.list.filter((stream) => !stream.isOver)
  const ends = liveStreams.map(async (stream) => {
    const { outcome } = await ender.end(stream, 'client_closed')
    if (outcome !== 'undeliverable') delivered += 1
  })
  let timer: Timer | undefined
  const timeUp = new Promise<void>((resolve) => {
    timer = clock.setTimeout(resolve, timeoutMs)
  })
  // If the store fails to release a lease, the ends are still delivered.
  const released = leases.close().catch(() => {})
  const allDone = Promise.all([...ends, released, provisioner.close()]).then(() => outbox.idle())
  await Promise.race([allDone, timeUp]).finally(() => timer?.cancel())
  const report = { delivered, undelivered: [...failed, ...outbox.list] }
  lifetime.abort(new ClientClosedError())
  circuit?.dispose()
  emitter.clear()
  return report
}
