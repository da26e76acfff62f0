/**
 * The test kit: an orchestrator in memory with the mistakes of the real ones, faults that you inject, a clock that you move by hand, and
 * test suites for ports of your own.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { FakeOrchestrator, ManualClock } from 'acestream-orchestrator-client/testing'
 *
 * const clock = new ManualClock()
 * const fake = new FakeOrchestrator({ engines: 2, clock })
 * await using client = new OrchestratorClient({ baseUrl: 'http://orchestrator.test', apiKey: fake.apiKey, clock, transport: fake })
 * const lease = await client.acquireEngine()
 * console.log(lease.engine.host)
 * @module acestream-orchestrator-client/testing
 */
import '../runtime/supported.ts'

export type { AppliedEvent } from './applied-log.ts'
export type { FakeCounters } from './counters.ts'
export type { FakeEngine, FakeEngineInit, FakeEnginePatch, FakeHealth } from './engine-entry.ts'
export type { Latency } from './exchange.ts'
export { type ElsewhereStream, FakeOrchestrator } from './fake-orchestrator.ts'
export { FAULT_KINDS, type Fault, type FaultHandle, type FaultKind } from './faults.ts'
export { GENERATIONS, type Generation, type Surface } from './generation.ts'
export { createHandlers } from './handlers.ts'
export type { FakeRequest, FakeResponse, PushListener } from './http.ts'
export { ManualClock } from './manual-clock.ts'
export { CACHE_RULES, type CacheFactory, type CacheUnderTest, describeCache } from './ports/cache.ts'
export { CLOCK_RULES, type ClockFactory, type ClockUnderTest, describeClock } from './ports/clock.ts'
export type { DescribePortOptions, PortRule } from './ports/contract.ts'
export {
  type DescribeTransportOptions,
  describeTransport,
  TRANSPORT_RULES,
  type TransportFactory,
  type TransportUnderTest,
} from './ports/transport.ts'
export { seededRandom } from './seeded-random.ts'
export type { FakeServer, ListenOptions } from './server.ts'
export type { FakeOrchestratorOptions, FakeProvisioning, FakeProvisioningChange, ProvisionRefusal } from './settings.ts'
export { type DescribeStateStoreOptions, describeStateStore } from './state-store/describe.ts'
export type { StateStoreRule } from './state-store/rule.ts'
export { STATE_STORE_RULES } from './state-store/rules.ts'
export type { StoreFactory, StoreUnderTest } from './state-store/subject.ts'
export type { FakeStream } from './stream-entry.ts'
export type { DeclareTest, DescribeTests } from './test-runner.ts'
