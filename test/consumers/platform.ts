// Compiles with the types of Node or of the DOM: the signal of a stream is an `AbortSignal`, and a `baseUrl` may be a `URL`.
import { OrchestratorClient, type StreamHandle, type Transport } from 'acestream-orchestrator-client'

export const transport: Transport = {
  async request({ url, method, headers, body, signal }) {
    const response = await fetch(url, { method, headers, body: body ?? null, signal: signal ?? null })
    return { status: response.status, headers: response.headers, body: await response.text() }
  },
  stream: undefined,
}
export const client = new OrchestratorClient({ baseUrl: new URL('http://orchestrator:8000'), transport })
export const playback = (stream: StreamHandle): Promise<Response> => fetch('http://engine:6878/', { signal: stream.lost })
export const leasing = client.acquireEngine({ signal: AbortSignal.timeout(1_000) })
