import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { Surface } from './generation.ts'

/** A request as it arrives at the orchestrator. */
export interface FakeRequest {
  method: string
  /** Path with query, as the orchestrator gets it: without the prefix of a reverse proxy. */
  path: string
  /** The `Authorization` header. @default none */
  authorization?: string | null | undefined
  /** The `Content-Type` header. @default none */
  contentType?: string | null | undefined
  /** The body as text. No body and an empty one are the same. @default none */
  body?: string | null | undefined
  /** The port of v1 that gets the request. @default 'public' */
  surface?: Surface | undefined
  /** Ends the caller's wait. The request is applied anyway. */
  signal?: PlatformAbortSignal | undefined
}

/** Receives the text of v1's event stream. */
export interface PushListener {
  /** Called with each piece of text. */
  onText(text: string): void
  /** Called when the orchestrator ends the connection, for example at a restart. */
  onEnd(): void
}

/** A response of the orchestrator. */
export interface FakeResponse {
  status: number
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>
  /** The whole body; empty for an event stream. */
  body: string
  /** Starts v1's event stream, and returns a function that stops it. Absent for other responses. */
  subscribe?: (listener: PushListener) => () => void
}

const JSON_HEADERS: Readonly<Record<string, string>> = Object.freeze({ 'content-type': 'application/json' })
const TEXT_HEADERS: Readonly<Record<string, string>> = Object.freeze({ 'content-type': 'text/plain; charset=utf-8' })

/** Creates a JSON response. */
export function jsonResponse(status: number, body: unknown): FakeResponse {
  return { status, headers: JSON_HEADERS, body: JSON.stringify(body) }
}

/** Creates a plain text response. */
export function textResponse(status: number, body: string): FakeResponse {
  return { status, headers: TEXT_HEADERS, body }
}
