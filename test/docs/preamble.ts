/**
 * Names that code blocks may use without declaring them: settings and the client of the host, the request of a viewer, a store that the host
 * wrote. Names of the library are not among them: a block imports these. At least one block must use each name.
 *
 * A block that is marked as ` ```ts complete ` can be copied unchanged, so it may use none of these names.
 */
export const PREAMBLE = `
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { type Engine, MemoryStore, type OrchestratorClient, type StreamStart } from 'acestream-orchestrator-client'

declare global {
  /** Settings of the host. */
  const baseUrl: string
  const apiKey: string

  /** The content that a viewer requested, a signal that aborts when the viewer leaves, and the response to the viewer. */
  const infohash: string
  const signal: AbortSignal
  const response: ServerResponse
  /** The error in a \`catch\` block. */
  const error: unknown
  /** The client of the host, for calls that need no options of it. */
  const client: OrchestratorClient

  /** The host's function that calls the engine. */
  function openPlayback(engine: Engine, infohash: string): Promise<{ session: StreamStart['session']; video: Readable }>

  /** The host's function that opens a playback for any number of viewers. */
  function openBroadcast(engine: Engine, infohash: string): Promise<{
    session: StreamStart['session']
    playback: { copyTo(response: ServerResponse, lost: AbortSignal): Promise<void>; stop(): Promise<void> }
  }>

  /** The host's function that a test calls. */
  function serveViewer(client: OrchestratorClient): Promise<void>

  /** A store that the host wrote, and the disk or server that keeps its data. */
  class MyStore extends MemoryStore {
    constructor(state?: TemporaryDisk | TestServer)
    renew(): void
    close(): void
  }
  class TestServer {
    stop(): Promise<void>
    start(): Promise<void>
  }
  class TemporaryDisk {
    copyAsIs(): void
  }
}
`
