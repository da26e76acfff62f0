import type { StoreErrorReason } from '../../errors.ts'
import { redactorFor } from '../../runtime/redaction.ts'
import { SCRIPT } from './script.ts'

const LONGEST_MESSAGE = 300

/** An address with a scheme. The last `@` of it ends its password, which may contain slashes, quotes and spaces. */
const URL_LIKE = /\b[a-z][\w+.-]*:\/\/(?:[\s\S]*@)?\S*/gi
/** An address without a scheme, of which a client library made a file's name or a host. */
const USER_INFO = /\S+@\S*/g
/** A server that does not know a command quotes what it was sent: also of `AUTH`, and of `HELLO` with a password. */
const QUOTED = /(with args beginning with:)[\s\S]*/i

/**
 * Copies an error of a client library without its secrets: ioredis attaches the command that failed, `AUTH` with its password too, and a
 * message may quote the address with user and password in it. `secrets` are removed wherever they stand.
 */
export function withoutSecrets(error: unknown, secrets: readonly string[] = []): Error {
  if (!(error instanceof Error)) return new Error('no reason given')
  const redacted = redactorFor(...secrets)(messageOf(error))
  const message = redacted.replace(URL_LIKE, '***').replace(QUOTED, '$1 ***').replace(USER_INFO, '***').slice(0, LONGEST_MESSAGE)
  const copy = new Error(message === '' ? 'no reason given' : message)
  copy.name = error.name
  if ('code' in error && typeof error.code === 'string') Object.assign(copy, { code: error.code })
  // The original's stack begins with the message. The copy's stack names the place that noticed the error.
  return copy
}

/** A host name with several addresses fails once for each, and a cluster once for each server: the reason is inside. */
function messageOf(error: Error): string {
  const inner = 'lastNodeError' in error ? [error.lastNodeError] : error instanceof AggregateError ? error.errors : []
  const texts = [error.message, ...inner.map((one: unknown) => (one instanceof Error ? one.message : ''))]
  return [...new Set(texts.filter((text) => text !== ''))].join(': ')
}

/** Errors of the server that pass: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
const PASSING =
  /^(?:ERR )?(TRYAGAIN|ASK|MOVED|CLUSTERDOWN|LOADING|BUSY|READONLY|MASTERDOWN|MISCONF|OOM|NOREPLICAS|UNBLOCKED|ERR max number of clients)\b/
/** The server forbids something. Redis 7.0 names neither command nor key of a script. */
const FORBIDDEN = /NOPERM|ACL failure|NOAUTH|WRONGPASS|no permissions|user executing the script can't/
/** The shebang of the script, which Redis 6 does not know. */
const TOO_OLD = /compiling script|@user_script: ?1: unexpected symbol near '#'/i
/** The names that client libraries give to errors that the server answered with. */
const REPLY_NAMES: ReadonlySet<string> = new Set(['ReplyError', 'ErrorReply', 'SimpleError', 'BlobError'])

/** Where a call failed. */
export interface Place {
  readonly address: string
  /** What the client says of its connection, unless it is as it should be. */
  readonly state: string | undefined
  /** The keys of the script: state, ended ids, lives. */
  readonly keys: readonly string[]
  /** The last error of the client's connection since Redis answered. */
  readonly connectionError?: unknown
  /** Passwords of the client. @default none */
  readonly secrets?: readonly string[]
}

/** What went wrong, and what to do. */
export interface Explanation {
  readonly message: string
  readonly reason: StoreErrorReason
  readonly cause: Error
}

/** Explains why a call failed. */
export function explain(error: unknown, { address, state, keys, connectionError, secrets }: Place): Explanation {
  const own = withoutSecrets(error, secrets)
  const isReply = error instanceof Error && (REPLY_NAMES.has(error.name) || REPLY_NAMES.has(error.constructor.name))
  const connection = isReply || connectionError === undefined ? undefined : withoutSecrets(connectionError, secrets)
  // A client that was refused closes, and fails every later call with nothing but that it is closed.
  const cause = connection !== undefined && FORBIDDEN.test(connection.message) ? connection : own
  const said = cause.message
  if (FORBIDDEN.test(said)) {
    const called = calledAt(said, keys)
    const what = called === undefined ? `keys ${patternOf(keys)}` : `${called.commands} on ${called.keys}`
    const message = `Redis at ${address} refuses a right that the store needs (${what}): ${said}; check the password and the ACL of its user (docs/stores.md lists the rights)`
    return { message, reason: 'unwritable', cause }
  }
  if (TOO_OLD.test(said)) {
    return { message: `Redis at ${address} is too old: the store needs Redis 7 or Valkey (${said})`, reason: 'unwritable', cause }
  }
  if (isReply && !PASSING.test(said)) {
    const where = calledAt(said, keys)?.keys ?? patternOf(keys)
    const message = `Redis at ${address} holds something else than this store's state under ${where}, or it is damaged: ${said}`
    return { message, reason: 'corrupt', cause }
  }
  const because = connection === undefined || connection.message === said ? '' : ` (${connection.message})`
  const hint = state === undefined ? '' : `; its client is ${state}`
  return { message: `Redis at ${address} is away: ${said}${because}${hint}`, reason: 'unavailable', cause: connection ?? cause }
}

/** All keys of a fleet, like `{acestream:name}:*`. */
const patternOf = (keys: readonly string[]): string => `${keys[0]?.replace(/[^:]*$/, '') ?? ''}*`

/** An error names the line of the script: the commands that this line calls, and the keys it calls them with. */
function calledAt(said: string, keys: readonly string[]): { commands: string; keys: string } | undefined {
  const [, number = ''] = /@?user_script:(\d+)/.exec(said) ?? []
  const line = SCRIPT.text.split('\n')[Number(number) - 1] ?? ''
  const calls = [...line.matchAll(/redis\.p?call\('(\w+)'(?:, (\w+))?/g)]
  if (number === '' || calls.length === 0) return undefined
  const variables: Record<string, string | undefined> = { fleet: keys[0], ended: keys[1], lives: keys[2] }
  const named = calls.map(([, , variable = '']) => variables[variable] ?? patternOf(keys))
  return { commands: unique(calls.map(([, command = '']) => command)), keys: unique(named) }
}

const unique = (texts: readonly string[]): string => [...new Set(texts)].join(', ')
