import { InvalidArgumentError } from '../../errors.ts'
import { expectMethods } from '../../runtime/validate.ts'
import { addressOf, passwordsOf, stateOf, watchErrors } from './client-facts.ts'
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
  /** Where the server is, for messages: no user and no password. */
  address(): string
  /** What the client says of its connection, unless it is as it should be. */
  state(): string | undefined
  /** What the connection failed with since Redis answered last. */
  lastError(): unknown
  /** Redis answers. */
  forgetError(): void
  /** Passwords that may be in an error. */
  secrets(): readonly string[]
  /** Runs a script by its name. */
  run(script: Script, keys: string[], args: string[]): Promise<unknown>
  /** Runs a script that the server has not loaded, and loads it. */
  load(script: Script, keys: string[], args: string[]): Promise<unknown>
  /** Listens on a connection of its own. Answers what closes that. */
  listen(channel: string, events: ChannelEvents): () => void
}

/** @throws {@link InvalidArgumentError} if the client is of neither library, or of a release that is too old */
export function connectionOf(client: RedisClient): Connection {
  const release = oldReleaseOf(client)
  if (release !== undefined) {
    throw new InvalidArgumentError('client', `a client of redis 5 or 6, or of ioredis 5 or 6; found a client of ${release}`)
  }
  if (typeof client === 'object' && client !== null && 'evalSha' in client) {
    expectMethods('client', client, ['evalSha', 'eval', 'duplicate'])
    return byNodeRedis(client)
  }
  expectMethods('client', client, ['evalsha', 'eval', 'duplicate'])
  return byIoRedis(client as IoRedisClient)
}

type Facts = Pick<Connection, 'address' | 'state' | 'lastError' | 'forgetError' | 'secrets'>

function factsOf(client: RedisClient): Facts {
  const watched = watchErrors(client)
  return {
    address: () => addressOf(client),
    state: () => stateOf(client),
    lastError: () => watched.last,
    forgetError: () => {
      watched.last = undefined
    },
    secrets: () => passwordsOf(client),
  }
}

const byIoRedis = (client: IoRedisClient): Connection => ({
  ...factsOf(client),
  run: (script, keys, args) => client.evalsha(script.sha, keys.length, ...keys, ...args),
  load: (script, keys, args) => client.eval(script.text, keys.length, ...keys, ...args),
  listen: (channel, events) => listenByIoRedis(client, channel, events),
})

const byNodeRedis = (client: NodeRedisClient): Connection => ({
  ...factsOf(client),
  run: (script, keys, args) => client.evalSha(script.sha, { keys, arguments: args }),
  load: (script, keys, args) => client.eval(script.text, { keys, arguments: args }),
  listen: (channel, events) => listenByNodeRedis(client, channel, events),
})

/**
 * Names the release of a client that is too old. Npm installs any release beside this package, and a client does not say its release, so
 * the check looks for parts that only old clients have, and that new ones replaced. An object of the host's own has neither.
 */
function oldReleaseOf(client: unknown): string | undefined {
  if (typeof client !== 'object' || client === null) return undefined
  if ('internal_send_command' in client) return 'redis 3 or older'
  if ('evalSha' in client) return 'disconnect' in client && !('destroy' in client) ? 'redis 4' : undefined
  const options = 'options' in client ? client.options : undefined
  const isOldIoRedis =
    typeof options === 'object' && options !== null && 'showFriendlyErrorStack' in options && !('createScanStream' in client)
  return isOldIoRedis ? 'ioredis 4 or older' : undefined
}
