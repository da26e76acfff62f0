import type { RedisClient } from 'acestream-orchestrator-client/redis'

/** Decides when a command is sent: at once, later, twice or never. */
export type Deliver = (send: () => Promise<unknown>) => Promise<unknown>

/** A client that passes each of its script calls to `deliver`. */
export function interceptScripts(client: RedisClient, deliver: Deliver): RedisClient {
  return new Proxy(client, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      const call = (...args: unknown[]): unknown => value.apply(target, args)
      return /^eval(sha)?$/i.test(String(key)) ? (...args: unknown[]) => deliver(async () => call(...args)) : call
    },
  })
}
