import { ClientClosedError } from './errors.ts'
import type { Clock, Timer } from './runtime/clock.ts'
import type { PendingEvent } from './streams/delivery/outbox.ts'
import type { ClientParts } from './wiring.ts'

/** What a closing client got rid of, and what not. */
export interface CloseReport {
  /** Ends of streams that were live when the client closed, and have been dealt with. */
  readonly delivered: number
  /** Events that the orchestrator may never have heard of. */
  readonly undelivered: readonly PendingEvent[]
}

/** Ends what is live, waits for the rest up to `timeoutMs`, then lets go of everything. */
export async function shutDown(parts: ClientParts, clock: Clock, lifetime: AbortController, timeoutMs: number): Promise<CloseReport> {
  const { allocator, provisioner, leases, registry, live, pending, circuit, emitter, reconciling, inheritance, watch } = parts
  const undelivered: PendingEvent[] = []
  let delivered = 0
  // Those that were under way before as well: whoever asked for them may have gone.
  pending.onFailed = (event) => undelivered.push(event)
  reconciling.stop()
  inheritance.stop()
  watch.close()
  circuit?.hurry()
  allocator.close()
  registry.close()
  const ends = live.list.map(async (stream) => {
    const { outcome } = await registry.end(stream, 'client_closed')
    if (outcome !== 'undeliverable') delivered += 1
  })
  let timer: Timer | undefined
  const timeUp = new Promise<void>((resolve) => {
    timer = clock.setTimeout(resolve, timeoutMs)
  })
  // A store that does not take a lease back is no reason to leave without the ends.
  const returned = leases.close().catch(() => {})
  const allDone = Promise.all([...ends, returned, provisioner.close()]).then(() => pending.idle())
  await Promise.race([allDone, timeUp]).finally(() => timer?.cancel())
  const report = { delivered, undelivered: [...undelivered, ...pending.list] }
  lifetime.abort(new ClientClosedError())
  circuit?.dispose()
  emitter.clear()
  return report
}
