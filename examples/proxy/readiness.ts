import type { OrchestratorClient } from 'acestream-orchestrator-client'

/** Returns why the proxy can serve no viewer, as a code, or `undefined` if it can. */
export type ReadinessCheck = () => Promise<string | undefined>

/** The part of the client that shows whether the orchestrator can be reached. */
type HealthSource = Pick<OrchestratorClient, 'health' | 'metrics' | 'checkHealth'>

/** Longest wait for the orchestrator, shorter than the time limit of common probes. */
const TIMEOUT_MS = 2_000

/**
 * Creates the check of a proxy that needs its orchestrator. Uses what the client knows. Sends a request only if the last one failed or
 * there was none: probes come often, and from several programs.
 */
export function orchestratorCheck(client: HealthSource, timeoutMs = TIMEOUT_MS): ReadinessCheck {
  return async () => {
    const { status, key } = client.health
    const isReachable = (status === 'healthy' || status === 'degraded') && client.metrics().circuit !== 'open'
    if (!isReachable && !(await responds(client, timeoutMs))) return 'orchestrator_unreachable'
    return key === 'rejected' || client.health.key === 'rejected' ? 'orchestrator_key_rejected' : undefined
  }
}

async function responds(client: HealthSource, timeoutMs: number): Promise<boolean> {
  try {
    await client.checkHealth({ signal: AbortSignal.timeout(timeoutMs) })
    return true
  } catch {
    // A response with status 401 or 403 is a response.
    return client.health.key === 'rejected'
  }
}
