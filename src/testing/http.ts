import type { PlatformAbortSignal } from '../runtime/platform.ts'
import type { Surface } from './generation.ts'

/** A request as it arrives at the orchestrator. */
export interface FakeRequest {
  method: string
  /** With its query, and as the orchestrator sees it: without the prefix of a reverse proxy. */
  path: string
  authorization?: string | null | undefined
  contentType?: string | null | undefined
  /** The text of the body; none and empty are the same, as on the wire. */
  body?: string | null | undefined
  /** Default `public`. Only v1 has two. */
  surface?: Surface | undefined
  /** Ends the caller's wait; what was sent is applied all the same. */
  signal?: PlatformAbortSignal | undefined
}

/** Hears the text of an answer that does not end by itself: v1's event stream. */
export interface PushListener {
  onText(text: string): void
  /** The orchestrator ended the connection, e.g. by a restart. */
  onEnd(): void
}

/** What the orchestrator answers. */
export interface FakeResponse {
  status: number
  /** Names in lower case. */
  headers: Readonly<Record<string, string>>
  /** The whole body; of an event stream what it begins with, which is nothing. */
  body: string
  /** Set where the body goes on (v1's event stream): starts it, and returns what stops it. */
  subscribe?: (listener: PushListener) => () => void
}

const JSON_HEADERS: Readonly<Record<string, string>> = Object.freeze({ 'content-type': 'application/json' })
const TEXT_HEADERS: Readonly<Record<string, string>> = Object.freeze({ 'content-type': 'text/plain; charset=utf-8' })

/** An answer in JSON. */
export function jsonResponse(status: number, body: unknown): FakeResponse {
  return { status, headers: JSON_HEADERS, body: JSON.stringify(body) }
}

/** An answer in plain text. */
export function textResponse(status: number, body: string): FakeResponse {
  return { status, headers: TEXT_HEADERS, body }
}
