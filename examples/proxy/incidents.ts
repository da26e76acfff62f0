import type { OrchestratorClient } from 'acestream-orchestrator-client'

/** Counts of viewers, and of problems with the orchestrator that the client handled. Logged when the proxy closes. */
export interface Incidents {
  /** How often a viewer joined a stream. A viewer who moves to another engine joins again. */
  viewersJoined: number
  /** How often the circuit breaker opened, because requests kept failing. */
  circuitOpenings: number
  /** Streams whose engine vanished. */
  streamsLost: number
  /** Streams that were announced again, because the orchestrator had forgotten them. */
  reannounced: number
}

/** Starts to count. */
export function countIncidents(client: OrchestratorClient): Readonly<Incidents> {
  const incidents: Incidents = { viewersJoined: 0, circuitOpenings: 0, streamsLost: 0, reannounced: 0 }
  client.on('viewer:joined', () => void incidents.viewersJoined++)
  client.on('circuit:opened', () => void incidents.circuitOpenings++)
  client.on('stream:lost', () => void incidents.streamsLost++)
  client.on('stream:reannounced', () => void incidents.reannounced++)
  return incidents
}
