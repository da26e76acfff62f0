import { Allocator } from './engines/allocator.ts'
import { Directory } from './engines/directory.ts'
import { FailureBook } from './engines/failure-book.ts'
import { LeaseBook } from './engines/lease-book.ts'
import { ListCache } from './engines/list-cache.ts'
import { Provisioner } from './engines/provisioner.ts'
import { PushOrder } from './engines/push-order.ts'
import { SlotTaker } from './engines/slot-taker.ts'
import { Watch } from './engines/watch.ts'
import { HealthMonitor } from './health/monitor.ts'
import type { OrchestratorApi } from './orchestrator/api.ts'
import { DialectResolver } from './orchestrator/dialects.ts'
import { PushSource } from './orchestrator/push-source.ts'
import { Requester } from './orchestrator/requester.ts'
import { WitnessedApi } from './orchestrator/witnessed-api.ts'
import type { ResolvedOptions } from './resolve-options.ts'
import { EndedHere } from './state/ended-here.ts'
import { Sequence } from './state/sequence.ts'
import { Delivery } from './streams/delivery.ts'
import { EndClaims } from './streams/end-claims.ts'
import { PendingEvents } from './streams/pending-events.ts'
import { Reconciler } from './streams/reconciler.ts'
import { StreamRegistry } from './streams/registry.ts'
import { Starter } from './streams/starter.ts'
import { Emitter } from './telemetry/emitter.ts'
import { Counters } from './telemetry/metrics.ts'

/** The parts of one client, wired together. */
export interface ClientParts {
  readonly counters: Counters
  readonly emitter: Emitter
  readonly api: OrchestratorApi
  readonly directory: Directory
  readonly provisioner: Provisioner
  readonly leases: LeaseBook
  readonly allocator: Allocator
  readonly registry: StreamRegistry
  readonly pending: PendingEvents
  readonly starter: Starter
  readonly reconciler: Reconciler
  readonly health: HealthMonitor
  readonly watch: Watch
}

/** Builds the parts. Does no I/O and arms no timer. */
export function buildParts(options: ResolvedOptions, lifetime: AbortSignal): ClientParts {
  const { clock, logger } = options
  const counters = new Counters()
  const emitter = new Emitter(logger)
  const sequence = new Sequence()
  const endedHere = new EndedHere(sequence, options.endedRetentionMax)
  const failures = new FailureBook(clock)
  const requester = new Requester({
    ...options,
    onRequest: (route) => counters.countRequest(route),
    onFailure: () => {
      counters.failedRequests += 1
    },
  })
  const dialects = new DialectResolver(requester, options.dialect)
  const order = new PushOrder(sequence)
  const api: OrchestratorApi = new WitnessedApi(order, requester, dialects, clock)
  const shared = { ...options, api, counters, emitter, sequence, endedHere, failures, lifetime }
  const listTtlMs = options.cacheTtlMs + options.staleIfErrorMs
  const key = `acestream-orchestrator-client:engines:${options.baseUrl.href}`
  const cache = new ListCache({ ...shared, key, ttlMs: listTtlMs })
  const directory = new Directory({ ...shared, cache })
  const watch = new Watch({ ...shared, directory, order, source: new PushSource(requester, dialects), watch: options.watch })
  const provisioner = new Provisioner({ ...shared, directory })
  const taker = new SlotTaker(shared)
  const delivery = new Delivery(shared)
  const onSlotFreed = (): void => allocator.serve()
  const pending = new PendingEvents()
  const claims = new EndClaims(shared)
  const registry = new StreamRegistry({
    ...shared,
    delivery,
    pending,
    claims,
    onSlotFreed,
    onAccepted: (containerId) => failures.succeed(containerId),
  })
  const starter = new Starter({ ...shared, registry, directory })
  const startStream = starter.onLease.bind(starter)
  const leases = new LeaseBook({ ...shared, taker, directory, onSlotFreed, startStream })
  const allocator: Allocator = new Allocator({ ...shared, directory, provisioner, taker, leases })
  const reconciler = new Reconciler({ ...shared, directory, registry })
  const health = new HealthMonitor(shared)
  return { counters, emitter, api, directory, provisioner, leases, allocator, registry, pending, starter, reconciler, health, watch }
}
