import { connect } from './connection.ts'
import { Allocator } from './engines/leases/allocator.ts'
import { LeaseRegistry } from './engines/leases/lease-registry.ts'
import { EngineList } from './engines/list/engine-list.ts'
import { ListCache } from './engines/list/list-cache.ts'
import { EjectionPolicy } from './engines/placement/ejection.ts'
import { SlotTaker } from './engines/placement/slot-taker.ts'
import { Provisioner } from './engines/provisioning/provisioner.ts'
import { PushWatch } from './engines/pushes/watch.ts'
import { HealthMonitor } from './health/monitor.ts'
import type { ResolvedOptions } from './options/resolve.ts'
import type { OrchestratorApi } from './orchestrator/api.ts'
import type { CircuitBreaker } from './orchestrator/circuit-breaker.ts'
import { orchestratorUrl } from './orchestrator/request-location.ts'
import { PlaybacksOnDemand } from './playback/on-demand.ts'
import { Outages } from './runtime/outages.ts'
import { makeRedactor } from './runtime/redaction.ts'
import { Sequence } from './runtime/sequence.ts'
import { KeepAlive } from './runtime/timers.ts'
import { Delivery } from './streams/delivery/delivery.ts'
import { EndDelivery } from './streams/delivery/end-delivery.ts'
import { Observer } from './streams/delivery/observation.ts'
import { EventOrder } from './streams/delivery/ordering.ts'
import { Outbox } from './streams/delivery/outbox.ts'
import { RetryThrottle } from './streams/delivery/retry-throttle.ts'
import { StartDelivery } from './streams/delivery/start-delivery.ts'
import { EndedLedger } from './streams/ended-ledger.ts'
import { Ender } from './streams/ender.ts'
import { Journal } from './streams/journal.ts'
import { LiveStreams } from './streams/live-streams.ts'
import { CrashRecovery } from './streams/reconciliation/crash-recovery.ts'
import { Reconciler } from './streams/reconciliation/reconciler.ts'
import { ReconcileSchedule } from './streams/reconciliation/schedule.ts'
import { SnapshotCheck } from './streams/reconciliation/snapshot-check.ts'
import { StreamRegistry } from './streams/registry.ts'
import { Starter } from './streams/starter.ts'
import { StreamSlots } from './streams/stream-slots.ts'
import { Emitter } from './telemetry/events.ts'
import { Counters } from './telemetry/metrics.ts'

/** The parts of one client, wired together. */
export interface ClientParts {
  readonly alive: KeepAlive
  readonly counters: Counters
  readonly emitter: Emitter
  readonly api: OrchestratorApi
  readonly engineList: EngineList
  readonly provisioner: Provisioner
  readonly leases: LeaseRegistry
  readonly allocator: Allocator
  readonly taker: SlotTaker
  readonly sequence: Sequence
  readonly registry: StreamRegistry
  readonly ender: Ender
  readonly outbox: Outbox
  readonly starter: Starter
  readonly live: LiveStreams
  readonly reconcileSchedule: ReconcileSchedule
  readonly crashRecovery: CrashRecovery
  readonly circuit: CircuitBreaker | undefined
  readonly health: HealthMonitor
  readonly watch: PushWatch
  readonly playbacks: PlaybacksOnDemand
}

/**
 * Attaches the client to its store, then builds the parts. Does no I/O and arms no timer.
 *
 * @throws the error of `attach` of the store
 */
export function buildParts(options: ResolvedOptions, lifetime: AbortSignal): ClientParts {
  const { clock, logger, random, retry, store } = options
  store.attach?.({ baseUrl: orchestratorUrl(options.baseUrl, makeRedactor(options.apiKey)), logger })
  const alive = new KeepAlive(clock)
  const counters = new Counters()
  const emitter = new Emitter(logger)
  const sequence = new Sequence()
  const ejectionPolicy = new EjectionPolicy(clock)
  const onCircuitClosed = (): void => {
    reconcileSchedule.runSoon()
    allocator.serve()
  }
  const onKeyChecked = (): void => health.updateKey()
  const connection = connect({ options, sequence, counters, emitter, lifetime, onCircuitClosed, onKeyChecked })
  const { circuit, keyCheck, link, pushOrder, api } = connection
  const outages = new Outages({ logger, clock })
  const journal = new Journal({ store, isStoreShared: options.isStoreShared, outages, proxyId: options.proxyId })
  const endedLedger = new EndedLedger({
    store,
    journal,
    sequence,
    clock,
    outages,
    endedRetentionMs: options.endedRetentionMs,
    endedRetentionMax: options.endedRetentionMax,
  })
  const listTtlMs = options.cacheTtlMs + options.staleIfErrorMs
  const key = `acestream-orchestrator-client:engines:${options.baseUrl.href}`
  const cache = new ListCache({ cache: options.cache, key, clock, sequence, logger, outages, lifetime, ttlMs: listTtlMs })
  const engineList = new EngineList({
    api,
    cache,
    sequence,
    endedIds: endedLedger,
    counters,
    emitter,
    outages,
    lifetime,
    cacheTtlMs: options.cacheTtlMs,
    staleIfErrorMs: options.staleIfErrorMs,
    refreshWaitMs: options.refreshWaitMs,
    retry,
    clock,
    random,
  })
  const watch = new PushWatch({
    link,
    order: pushOrder,
    engineList,
    sequence,
    clock,
    random,
    logger,
    emitter,
    watch: options.watch,
    isNeeded: () => allocator.waitingCount > 0,
  })
  const provisioner = new Provisioner({
    store,
    maxStreamsPerEngine: options.maxStreamsPerEngine,
    maxConcurrentProvisions: options.maxConcurrentProvisions,
    engineList,
    sequence,
    clock,
    lifetime,
    provisionTimeoutMs: options.provisionTimeoutMs,
    api,
    counters,
    emitter,
    outages,
    countWaiting: () => allocator.provisioningCount,
    onSettled: () => allocator.serve(),
  })
  const live = new LiveStreams()
  const taker = new SlotTaker({
    store,
    endedIds: endedLedger,
    liveContents: live,
    ejectionPolicy,
    clock,
    random,
    logger,
    proxyId: options.proxyId,
    maxStreamsPerEngine: options.maxStreamsPerEngine,
    leaseTtlMs: options.leaseTtlMs,
    settleMs: options.settleMs,
    rankEngines: options.rankEngines,
  })
  const onSlotFreed = (): void => allocator.serve()
  const outbox = new Outbox({ max: options.maxPendingEvents, onEndsSettled: onSlotFreed })
  const slots = new StreamSlots({
    store,
    isStoreShared: options.isStoreShared,
    endedLedger,
    live,
    emitter,
    outages,
    clock,
    lifetime,
    onSlotFreed,
  })
  const observer = new Observer({ api, engineList, sequence, clock, lifetime })
  const delivery = new Delivery({
    circuit,
    throttle: new RetryThrottle(clock),
    sequence,
    counters,
    emitter,
    outages,
    lifetime,
    deliveryTimeoutMs: options.deliveryTimeoutMs,
    retry,
    clock,
    random,
  })
  const onAccepted = (containerId: string, key: string): void => {
    for (const ejection of ejectionPolicy.recordSuccess(containerId, key)) {
      const cause = new Error(`Content that failed on the ejected engine plays on engine ${containerId}`)
      emitter.to('engine:ejected')?.({ ...ejection, cause })
    }
  }
  const startDelivery = new StartDelivery({
    api,
    delivery,
    observer,
    endedLedger,
    journal,
    slots,
    live,
    sequence,
    clock,
    counters,
    emitter,
    outages,
    lifetime,
    onAccepted,
  })
  const endDelivery = new EndDelivery({
    api,
    delivery,
    observer,
    endedLedger,
    journal,
    sequence,
    counters,
    emitter,
    logger,
    outages,
    lifetime,
    onLateStart: () => reconcileSchedule.runLater(),
  })
  const order = new EventOrder()
  const ender = new Ender({
    endDelivery,
    live,
    slots,
    outbox,
    order,
    endedLedger,
    journal,
    emitter,
    logger,
    clock,
    outages,
    lifetime,
    onSlotFreed,
    onStreamsMayHaveEnded: () => reconcileSchedule.runSoon(),
  })
  const registry = new StreamRegistry({
    api,
    alive,
    startDelivery,
    ender,
    live,
    slots,
    outbox,
    order,
    endedLedger,
    journal,
    emitter,
    logger,
    clock,
    startWaitMs: options.startWaitMs,
    outages,
  })
  const starter = new Starter({ registry, api, engineList, store, clock, startWaitMs: options.startWaitMs, mapEngine: options.mapEngine })
  const leases = new LeaseRegistry({
    alive,
    taker,
    engineList,
    store,
    ejectionPolicy,
    clock,
    counters,
    emitter,
    outages,
    mapEngine: options.mapEngine,
    startStream: starter.startOnLease.bind(starter),
    onSlotFreed,
  })
  const isSlotComing = (): boolean => outbox.hasEndInFlight || slots.isReleasing || leases.isReleasing
  const allocator: Allocator = new Allocator({
    provisioner,
    taker,
    leases,
    sequence,
    emitter,
    cacheTtlMs: options.cacheTtlMs,
    staleIfErrorMs: options.staleIfErrorMs,
    circuit,
    isSlotComing,
    engineList,
    clock,
    leaseTtlMs: options.leaseTtlMs,
    fallbackEngine: options.fallbackEngine,
    yieldSlot: (accepts) => playbacks.yieldSlot(accepts),
  })
  const playbacks: PlaybacksOnDemand = new PlaybacksOnDemand({
    allocator,
    leases,
    live,
    outbox,
    emitter,
    outages,
    clock,
    lifetime,
    leaseTtlMs: options.leaseTtlMs,
    listWaitMs: options.requestTimeoutMs,
  })
  const reconciler = new Reconciler({
    api,
    observer,
    registry,
    ender,
    live,
    endedLedger,
    outbox,
    sequence,
    clock,
    mapEngine: options.mapEngine,
  })
  const reconcileSchedule: ReconcileSchedule = new ReconcileSchedule({
    reconciler,
    clock,
    emitter,
    outages,
    random,
    reconcileIntervalMs: options.reconcileIntervalMs,
    lifetime,
  })
  const snapshotCheck = new SnapshotCheck({ live, startDelivery, reconcileSchedule, logger })
  engineList.onRefresh((snapshot) => snapshotCheck.check(snapshot))
  const crashRecovery = new CrashRecovery({ store, ender, reconcileSchedule, clock, logger, outages })
  const health: HealthMonitor = new HealthMonitor({ api, clock, emitter, outages, keyCheck, lifetime, retry, random })
  return {
    alive,
    counters,
    emitter,
    api,
    engineList,
    provisioner,
    leases,
    allocator,
    taker,
    sequence,
    registry,
    ender,
    live,
    outbox,
    starter,
    reconcileSchedule,
    crashRecovery,
    circuit,
    health,
    watch,
    playbacks,
  }
}
