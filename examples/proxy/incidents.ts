import type { OrchestratorClient } from 'acestream-orchestrator-client'

/** What went wrong with the orchestrator and was dealt with: worth a line when the proxy closes. */
export interface Incidents {
  /** Times the orchestrator was left alone, since it kept failing. */
  circuitOpenings: number
  /** Streams whose engine went away. */
  streamsLost: number
  /** Streams that the orchestrator had forgotten and was told of again. */
  reannounced: number
}

/** Counts them from now on. */
export function countIncidents(client: OrchestratorClient): Readonly<Incidents> {
  const incidents: Incidents = { circuitOpenings: 0, streamsLost: 0, reannounced: 0 }
  client.on('circuit:opened', () => void incidents.circuitOpenings++)
  client.on('stream:lost', () => void incidents.streamsLost++)
  client.on('stream:reannounced', () => void incidents.reannounced++)
  return incidents
}
