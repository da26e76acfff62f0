import { Allocator } from './engines/leases/allocator.ts'
import { LeaseBook } from './engines/leases/lease-registry.ts'
import { Directory } from './engines/list/engine-list.ts'
import { ListCache } from './engines/list/list-cache.ts'
import { FailureBook } from './engines/placement/ejection.ts'
import { SlotTaker } from './engines/placement/slot-taker.ts'
import { Provisioner } from './engines/provisioning/provisioner.ts'
import { PushOrder } from './engines/pushes/push-order.ts'
import { Watch } from './engines/pushes/watch.ts'
import { ClientClosedError } from './errors.ts'
import { HealthMonitor } from './health/monitor.ts'
import type { ResolvedOptions } from './options/resolve.ts'
import type { OrchestratorApi } from './orchestrator/api.ts'
import { CircuitBreaker } from './orchestrator/circuit-breaker.ts'
import { DialectResolver, ROUTES } from './orchestrator/dialects.ts'
import { KeyCheck } from './orchestrator/key-check.ts'
import { PushSource } from './orchestrator/push-source.ts'
import { Requester } from './orchestrator/requester.ts'
import { EntryReports } from './orchestrator/unreadable.ts'
import { orchestratorAt } from './orchestrator/where.ts'
import { WitnessedApi } from './orchestrator/witnessed-api.ts'
import { KeepAlive } from './runtime/abort.ts'
import type { Clock, Timer } from './runtime/clock.ts'
import { Outages } from './runtime/outages.ts'
import { redactorFor } from './runtime/redaction.ts'
import { Sequence } from './runtime/sequence.ts'
import { EndedHere } from './state/ended-here.ts'
import { Courier } from './streams/delivery/delivery.ts'
import { Ender } from './streams/delivery/end-delivery.ts'
import { Survey } from './streams/delivery/observation.ts'
import { type PendingEvent, PendingEvents } from './streams/delivery/outbox.ts'
import { RetryBudget } from './streams/delivery/retry-throttle.ts'
import { Announcer } from './streams/delivery/start-delivery.ts'
import { EndClaims } from './streams/ended-ledger.ts'
import { Journal } from './streams/journal.ts'
import { LiveStreams, StreamSightings } from './streams/live-streams.ts'
import { Inheritance } from './streams/reconciliation/crash-recovery.ts'
import { Reconciler } from './streams/reconciliation/reconciler.ts'
import { Reconciling } from './streams/reconciliation/schedule.ts'
import { StreamRegistry } from './streams/registry.ts'
import { Starter } from './streams/starter.ts'
import { StreamSlots } from './streams/stream-slots.ts'
import { Emitter } from './telemetry/emitter.ts'
import { Counters } from './telemetry/metrics.ts'

/** The parts of one client, wired together. */
export interface ClientParts {
  readonly alive: KeepAlive
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
  readonly live: LiveStreams
  readonly reconciling: Reconciling
  readonly inheritance: Inheritance
  readonly circuit: CircuitBreaker | undefined
  readonly health: HealthMonitor
  readonly watch: Watch
}

/**
 * Introduces the client to its store, then builds the parts. Does no I/O and arms no timer.
 *
 * @throws what `attach` of the store throws
 */
export function buildParts(options: ResolvedOptions, lifetime: AbortSignal): ClientParts {
  const { clock, logger, store } = options
  const redact = redactorFor(options.apiKey)
  store.attach?.({ baseUrl: orchestratorAt(options.baseUrl, redact), logger })
  const alive = new KeepAlive(clock)
  const counters = new Counters()
  const emitter = new Emitter(logger)
  const sequence = new Sequence()
  const endedHere = new EndedHere(sequence, options.endedRetentionMax)
  const failures = new FailureBook(clock)
  const recovery = { sequence: 0 }
  const url = redact(`${options.baseUrl.origin}${options.baseUrl.pathname}`)
  const circuit =
    options.circuitBreaker &&
    new CircuitBreaker({
      clock,
      url,
      ...options.circuitBreaker,
      onOpened: (retryAfterMs, isAgain, error) => {
        logger[isAgain ? 'debug' : 'warn'](`The orchestrator at ${url} is failing; leaving it alone`, { retryAfterMs, error })
        emitter.emit('circuit:opened', { retryAfterMs })
      },
      onClosed: (openMs) => {
        recovery.sequence = sequence.next()
        reconciling.soon()
        allocator.serve()
        emitter.emit('circuit:closed', { openMs })
      },
      // The probe is a read: while only the writes fail, the circuit closes and opens all the time.
      onRecovered: (outageMs) => logger.info(`The orchestrator at ${url} answers again`, { outageMs }),
    })
  const keyCheck = new KeyCheck(options)
  const requester = new Requester({
    ...options,
    keyCheck,
    circuit,
    onRequest: (route) => counters.countRequest(route),
    onFailure: () => {
      counters.failedRequests += 1
    },
  })
  const dialects = new DialectResolver(requester, options.dialect, lifetime)
  const order = new PushOrder(sequence)
  const reports = new EntryReports(requester)
  const api: OrchestratorApi = new WitnessedApi(order, requester, dialects, reports)
  if (circuit !== undefined) {
    circuit.probe = () => api.probe({ signal: lifetime })
    circuit.probeRoute = ROUTES.engines.route
  }
  const outages = new Outages({ logger, clock })
  const shared = { ...options, alive, outages, api, counters, emitter, sequence, endedHere, failures, circuit, recovery, lifetime }
  const listTtlMs = options.cacheTtlMs + options.staleIfErrorMs
  const key = `acestream-orchestrator-client:engines:${options.baseUrl.href}`
  const cache = new ListCache({ ...shared, key, ttlMs: listTtlMs })
  const directory = new Directory({ ...shared, cache })
  const watch = new Watch({
    ...shared,
    directory,
    order,
    source: new PushSource(requester, dialects, reports),
    watch: options.watch,
    isNeeded: () => allocator.waitingCount > 0,
  })
  const provisioner = new Provisioner({ ...shared, directory })
  const taker = new SlotTaker(shared)
  const onSlotFreed = (): void => allocator.serve()
  const pending = new PendingEvents(options.maxPendingEvents)
  const live = new LiveStreams()
  const journal = new Journal(shared)
  const claims = new EndClaims({ ...shared, journal })
  const slots = new StreamSlots({ ...shared, live, onSlotFreed })
  const survey = new Survey({ ...shared, directory })
  const courier = new Courier({ ...shared, budget: new RetryBudget(clock) })
  const telling = { ...shared, courier, survey, claims, journal, slots, live }
  const onAccepted = (containerId: string, key: string): void => {
    for (const ejection of failures.succeed(containerId, key)) {
      const cause = new Error(`Content that failed there plays on engine ${containerId}`)
      emitter.emit('engine:ejected', { ...ejection, cause })
    }
  }
  const announcer = new Announcer({ ...telling, onAccepted })
  const registry = new StreamRegistry({
    ...telling,
    announcer,
    ender: new Ender({ ...telling, onLateStart: () => reconciling.later() }),
    pending,
    onSlotFreed,
    onSuspicion: () => reconciling.soon(),
  })
  const starter = new Starter({ ...shared, registry, directory })
  const startStream = starter.onLease.bind(starter)
  const leases = new LeaseBook({ ...shared, taker, directory, onSlotFreed, startStream })
  const isSlotComing = (): boolean => pending.isEnding || slots.isReleasing || leases.isReleasing
  const allocator: Allocator = new Allocator({ ...shared, directory, provisioner, taker, leases, isSlotComing })
  pending.onEndsSettled = onSlotFreed
  const reconciler = new Reconciler({ ...telling, registry, pending })
  const reconciling: Reconciling = new Reconciling({ ...shared, reconciler })
  const sightings = new StreamSightings({ ...telling, announcer, reconciling })
  directory.onRefresh((snapshot) => sightings.note(snapshot))
  const inheritance = new Inheritance({ ...telling, registry, reconciling })
  const health = new HealthMonitor({ ...shared, keyCheck })
  return {
    alive,
    counters,
    emitter,
    api,
    directory,
    provisioner,
    leases,
    allocator,
    registry,
    live,
    pending,
    starter,
    reconciling,
    inheritance,
    circuit,
    health,
    watch,
  }
}

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
