import { expectMethods } from '../../validate.ts'
import { listenByIoRedis, listenByNodeRedis } from './listening.ts'
import type { IoRedisClient, NodeRedisClient, RedisClient } from './redis-client.ts'
import type { Script } from './script.ts'

/** What happens on a connection that listens. */
export interface ChannelEvents {
  onMessage: (message: string) => void
  onFailure: (error: unknown) => void
}

/** What is asked of a client library. */
export interface Connection {
  /** Runs a script by its name. */
  run(script: Script, keys: string[], args: string[]): Promise<unknown>
  /** Runs a script that the server has not seen. */
  load(script: Script, keys: string[], args: string[]): Promise<unknown>
  /** Listens on a connection of its own. Answers what closes that. */
  listen(channel: string, events: ChannelEvents): () => void
}

/** @throws {@link InvalidArgumentError} where it is neither library's */
export function connectionOf(client: RedisClient): Connection {
  if (typeof client === 'object' && client !== null && 'evalSha' in client) {
    expectMethods('client', client, ['evalSha', 'eval', 'duplicate'])
    return byNodeRedis(client)
  }
  expectMethods('client', client, ['evalsha', 'eval', 'duplicate'])
  return byIoRedis(client as IoRedisClient)
}

const byIoRedis = (client: IoRedisClient): Connection => ({
  run: (script, keys, args) => client.evalsha(script.sha, keys.length, ...keys, ...args),
  load: (script, keys, args) => client.eval(script.text, keys.length, ...keys, ...args),
  listen: (channel, events) => listenByIoRedis(client, channel, events),
})

const byNodeRedis = (client: NodeRedisClient): Connection => ({
  run: (script, keys, args) => client.evalSha(script.sha, { keys, arguments: args }),
  load: (script, keys, args) => client.eval(script.text, { keys, arguments: args }),
  listen: (channel, events) => listenByNodeRedis(client, channel, events),
})
