/**
 * What code blocks may use without declaring it, because every host has it under some name: settings, the viewer's request, the call to
 * the engine, a store of the host's own. Nothing of the library: a block imports what it uses of that. Each name must be used by some block.
 *
 * A block that a reader can copy as it stands says so after the fence (` ```ts complete `) and may use none of these.
 */
export const PREAMBLE = `
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { type Engine, MemoryStore, type OrchestratorClient, type StreamStart } from 'acestream-orchestrator-client'

declare global {
  /** Settings of the host. */
  const baseUrl: string
  const apiKey: string

  /** What a viewer asked for, aborts when the viewer has left, and takes the answer. */
  const infohash: string
  const signal: AbortSignal
  const response: ServerResponse
  /** What a \`catch\` caught. */
  const error: unknown

  /** The host's own call to the engine. */
  function openPlayback(engine: Engine, infohash: string): Promise<{ session: StreamStart['session']; video: Readable }>

  /** The host's own code that a test calls. */
  function serveViewer(client: OrchestratorClient): Promise<void>

  /** A store of the host's own, and the disk or server under it. */
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
