/**
 * Names that code blocks may use without declaring them: settings of the host, the response to a viewer, a store that the host wrote. Names
 * of the library are not among them: a block imports these. At least one block must use each name.
 *
 * A block that is marked as ` ```ts complete ` can be copied unchanged, so it may use none of these names.
 */
export const PREAMBLE = `
import type { ServerResponse } from 'node:http'
import { MemoryStore, type OrchestratorClient } from 'acestream-orchestrator-client'

declare global {
  /** Settings of the host. */
  const baseUrl: string
  const apiKey: string

  /** The response to a viewer. */
  const response: ServerResponse
  /** The error in a \`catch\` block. */
  const error: unknown
  /** The client of the host, for calls that need no options of it. */
  const client: OrchestratorClient

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
