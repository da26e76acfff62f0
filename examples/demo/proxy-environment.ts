import type { World } from './world.ts'

/** Returns the environment variables of the proxy. */
export function proxyEnvironment(
  { url, apiKey, engineHost }: Pick<World, 'url' | 'apiKey' | 'engineHost'>,
  { limit, capacityTimeoutMs }: { limit: number; capacityTimeoutMs: number },
): Record<string, string> {
  return {
    ACEXY_LISTEN_ADDR: '127.0.0.1:0',
    ACEXY_ORCH_URL: url,
    ACEXY_ORCH_APIKEY: apiKey ?? '',
    // Empty for fake engines: the value of the shell is for real ones.
    ACEXY_ENGINE_HOST: engineHost ?? '',
    // Empty, so that the demo writes nothing to a store that the shell configures.
    ACEXY_STORE: '',
    ACEXY_STORE_TTL: '',
    ACEXY_MAX_STREAMS_PER_ENGINE: String(limit),
    ACEXY_NO_RESPONSE_TIMEOUT: '5s',
    // The viewers of a demo stay until they are cut off, so waiting for them only takes time.
    ACEXY_SHUTDOWN_TIMEOUT: '6s',
    ACEXY_CAPACITY_TIMEOUT: `${Math.round(capacityTimeoutMs)}ms`,
  }
}
