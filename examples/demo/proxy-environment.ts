import type { World } from './world.ts'

/** What the proxy is told by its environment. */
export function proxyEnvironment(
  { url, apiKey, engineHost }: Pick<World, 'url' | 'apiKey' | 'engineHost'>,
  { limit, capacityTimeoutMs }: { limit: number; capacityTimeoutMs: number },
): Record<string, string> {
  return {
    ACEXY_LISTEN_ADDR: '127.0.0.1:0',
    ACEXY_ORCH_URL: url,
    ACEXY_ORCH_APIKEY: apiKey ?? '',
    // Empty where the engines are fakes: what the shell has set is about others.
    ACEXY_ENGINE_HOST: engineHost ?? '',
    // Empty, so that no store of the shell's is used: neither the demo's streams nor its figures belong there.
    ACEXY_STORE: '',
    ACEXY_STORE_TTL: '',
    ACEXY_MAX_STREAMS_PER_ENGINE: String(limit),
    ACEXY_NO_RESPONSE_TIMEOUT: '5s',
    ACEXY_CAPACITY_TIMEOUT: `${Math.round(capacityTimeoutMs)}ms`,
  }
}
