import type { Generation } from '../model/diagnosis.ts'
import type { OrchestratorStatus } from '../model/health.ts'
import type { StartEvent, Stream, StreamFilter } from '../model/stream.ts'
import type { EndAcknowledgement, EndEvent, ProvisionAcknowledgement, ProvisionRequest, StartAcknowledgement } from './bodies.ts'
import type { OrchestratorCalls, StreamList } from './calls.ts'
import type { Link } from './link.ts'
import type { ListedEngines } from './listed-engines.ts'
import type { CallOptions } from './requester.ts'
import type { Dialect } from './routes.ts'

/** Calls the endpoints of the orchestrator: see {@link OrchestratorCalls}, whose code is loaded with the first call. */
export class OrchestratorApi implements Pick<OrchestratorCalls, Exclude<keyof OrchestratorCalls, 'isInternalPort'>> {
  readonly #link: Link

  constructor(link: Link) {
    this.#link = link
  }

  /** See {@link OrchestratorCalls.dialect}. */
  get dialect(): Dialect | undefined {
    return this.#link.dialect
  }

  /** See {@link OrchestratorCalls.generation}. */
  get generation(): Generation | undefined {
    return this.#link.generation
  }

  /** Notes the generation that a diagnosis found. It counts until an answer to another request shows the generation. */
  noteDiagnosed(generation: Generation | undefined): void {
    this.#link.diagnosed = generation
  }

  /** See {@link OrchestratorCalls.probe}. */
  probe(options?: CallOptions): Promise<unknown> {
    return this.#link.use(({ calls }) => calls.probe(options), options)
  }

  /** See {@link OrchestratorCalls.resolveDialect}. */
  resolveDialect(options?: CallOptions): Promise<Dialect> {
    return this.#link.use(({ calls }) => calls.resolveDialect(options), options)
  }

  /** See {@link OrchestratorCalls.listEngines}. */
  listEngines(options?: CallOptions): Promise<ListedEngines> {
    return this.#link.use(({ calls }) => calls.listEngines(options), options)
  }

  /** See {@link OrchestratorCalls.listStreams}. */
  listStreams(filter: StreamFilter, options?: CallOptions): Promise<readonly Stream[]> {
    return this.#link.use(({ calls }) => calls.listStreams(filter, options), options)
  }

  /** See {@link OrchestratorCalls.streamList}. */
  streamList(filter: StreamFilter, options?: CallOptions): Promise<StreamList> {
    return this.#link.use(({ calls }) => calls.streamList(filter, options), options)
  }

  /** See {@link OrchestratorCalls.startStream}. */
  startStream(event: StartEvent, options?: CallOptions): Promise<StartAcknowledgement> {
    return this.#link.use(({ calls }) => calls.startStream(event, options), options)
  }

  /** See {@link OrchestratorCalls.endStream}. */
  endStream(event: EndEvent, options?: CallOptions): Promise<EndAcknowledgement> {
    return this.#link.use(({ calls }) => calls.endStream(event, options), options)
  }

  /** See {@link OrchestratorCalls.provision}. */
  provision(request: ProvisionRequest, options?: CallOptions): Promise<ProvisionAcknowledgement> {
    return this.#link.use(({ calls }) => calls.provision(request, options), options)
  }

  /** See {@link OrchestratorCalls.status}. */
  status(options?: CallOptions): Promise<OrchestratorStatus> {
    return this.#link.use(({ calls }) => calls.status(options), options)
  }

  /** See {@link OrchestratorCalls.circuitBreaker}. */
  circuitBreaker(options?: CallOptions): Promise<{ retryAfterMs?: number }> {
    return this.#link.use(({ calls }) => calls.circuitBreaker(options), options)
  }
}
