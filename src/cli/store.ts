import type { Problem } from '../model/diagnosis.ts'
import { runWithDeadline } from '../runtime/abort.ts'
import { type Connect, loadConnect } from '../runtime/connect.ts'
import { readText } from '../runtime/error-fields.ts'
import { UsageError } from './arguments.ts'
import type { Io } from './io.ts'
import { addressOf } from './screen.ts'

/** What was found about the store of a proxy, without opening it: a store that is open belongs to the proxy. */
export interface StoreFound {
  /** Its address or path, without the password. */
  readonly address: string
  readonly problems: readonly Problem[]
}

const TIMEOUT_MS = 3_000
const REDIS_PORT = 6_379

/**
 * Checks whether the store can be reached from here: Redis by a TCP connection, a file of SQLite by the right to write it. Changes nothing.
 *
 * @param text as in `ACEXY_STORE` of the example proxy: `redis://host:port` or `sqlite:/path/to/file`
 * @throws {@link UsageError} for any other text. It does not show the text, which may have a password
 */
export async function checkStoreAt(text: string, io: Io): Promise<StoreFound> {
  const [, path] = /^sqlite:(.+)$/.exec(text) ?? []
  if (path !== undefined) return checkFile(path)
  const url = /^rediss?:\/\//i.test(text) ? URL.parse(text) : null
  if (url === null || url.hostname === '')
    throw new UsageError('The option --store (ACEXY_STORE) needs redis://host:port or sqlite:/path/to/file')
  const port = url.port === '' ? REDIS_PORT : Number(url.port)
  return checkRedis({ host: url.hostname.replace(/^\[|\]$/g, ''), port }, io)
}

async function checkRedis(target: Parameters<Connect>[0], io: Io): Promise<StoreFound> {
  const address = `Redis at ${addressOf(target)}`
  const connect = io.connect ?? (await loadConnect())
  try {
    const deadline = { clock: io.clock, timeoutMs: TIMEOUT_MS, signal: io.signal, label: 'The connection' }
    await runWithDeadline(deadline, async (signal) => connect?.(target, { signal }))
    return { address, problems: [] }
  } catch (error) {
    io.signal.throwIfAborted()
    const why = readText(error, 'code') || (error instanceof Error ? error.message : String(error))
    return {
      address,
      problems: [
        {
          code: 'store_unavailable',
          message: `${address} cannot be reached from here: ${why}. By default, viewers get no engine meanwhile.`,
          remedy: 'Check that Redis is running, and its address: a name of a Docker network exists only in that network.',
        },
      ],
    }
  }
}

async function checkFile(path: string): Promise<StoreFound> {
  const [{ access, constants }, { dirname }] = await Promise.all([import('node:fs/promises'), import('node:path')])
  const address = `SQLite in ${path}`
  const canUse = async (target: string, mode: number): Promise<boolean> =>
    access(target, mode).then(
      () => true,
      () => false,
    )
  const { F_OK, R_OK, W_OK } = constants
  const exists = await canUse(path, F_OK)
  // SQLite writes further files beside its own.
  const isUsable = (await canUse(`${dirname(path)}/`, W_OK)) && (!exists || (await canUse(path, R_OK | W_OK)))
  if (isUsable) return { address, problems: [] }
  const message = `${address} cannot be ${exists ? 'written' : 'made'} by this user: the directory does not exist, or the right to write is missing.`
  const remedy = 'Make the directory, and give the user of the proxy the right to write there. In a container, mount a volume at it.'
  return { address, problems: [{ code: 'store_unusable', message, remedy }] }
}
