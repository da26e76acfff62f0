import type { ServerOptions } from 'node:http'

/** Limits of the connections of viewers. They hold for requests only: a response may take any time. */
export interface ServerLimits {
  /** How long a viewer may take to send the head of a request; then it gets status 408. */
  headersTimeoutMs: number
  /** How long a viewer may take to send a whole request. */
  requestTimeoutMs: number
  /** How long a connection without a request stays open. Longer than the 60 s of common reverse proxies, so that they close first. */
  idleTimeoutMs: number
  /** Bytes of all headers and of the path; beyond it a viewer gets status 431. */
  maxHeaderBytes: number
  /** Requests of one connection. The last response says `Connection: close`, and a further request gets status 503. */
  maxRequestsPerConnection: number
}

export const DEFAULT_LIMITS: Readonly<ServerLimits> = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 65_000,
  maxHeaderBytes: 16_384,
  maxRequestsPerConnection: 1_000,
}

/** Returns the options of an HTTP server with these limits. */
export function serverOptions({ headersTimeoutMs, requestTimeoutMs, idleTimeoutMs, maxHeaderBytes }: ServerLimits): ServerOptions {
  return {
    headersTimeout: headersTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: Math.min(1_000, headersTimeoutMs),
    keepAliveTimeout: idleTimeoutMs,
    maxHeaderSize: maxHeaderBytes,
    // A viewer whose network fails closes no connection. Probes detect that, and free the slot.
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  }
}
