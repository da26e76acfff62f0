import { Chunk } from './chunk.ts'
import type { Clock } from './clock.ts'
import { systemClock } from './clock.ts'
import type { Transport, TransportRequest, TransportResponse, TransportStream } from './transport.ts'
import { expectOptions, type NamesOf } from './validate.ts'

const exchangeChunk: Chunk<typeof import('./ky-exchange.ts')> = new Chunk('transport', () => import('./ky-exchange.ts'))

/** Options of {@link KyTransport}. */
export interface KyTransportOptions {
  /** Measures the time limits of requests. If the client has the option `clock`, pass the same clock. @default the system's clock */
  clock?: Clock | undefined
}

/**
 * The default transport: the platform's `fetch` through ky, and `node:http` for event streams. It makes one attempt per call, reads bodies
 * of at most 8 MiB, and returns a redirect instead of following it: that would send the API key to another server.
 *
 * @example
 * import { KyTransport, OrchestratorClient, type TransportRequest } from 'acestream-orchestrator-client'
 *
 * // Adds something to the transport without writing one.
 * class LoggedTransport extends KyTransport {
 *   override async request(request: TransportRequest) {
 *     const response = await super.request(request)
 *     console.log(request.method, request.url, response.status)
 *     return response
 *   }
 * }
 * const client = new OrchestratorClient({ baseUrl, transport: new LoggedTransport() })
 */
export class KyTransport implements Transport {
  readonly #clock: Clock

  /** @throws `InvalidArgumentError` if an option is unknown */
  constructor(options: KyTransportOptions = {}) {
    expectOptions(options, { clock: true } satisfies NamesOf<KyTransportOptions>)
    this.#clock = options.clock ?? systemClock
  }

  /** Sends a request and reads the whole answer: see {@link Transport.request}. */
  async request(request: TransportRequest): Promise<TransportResponse> {
    const code = exchangeChunk.code ?? (await exchangeChunk.load())
    return code.request(this.#clock, request)
  }

  /**
   * Opens an event stream: see {@link Transport.stream}. The connection does not keep the process alive, since it is made with `node:http`
   * or `node:https`. In browsers, which have no such module, it is made with `fetch`.
   */
  async stream(request: TransportRequest): Promise<TransportStream> {
    const code = exchangeChunk.code ?? (await exchangeChunk.load())
    return code.openStream(this.#clock, request)
  }
}
