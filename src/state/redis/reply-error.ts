import { StoreError, type StoreErrorReason } from '../../errors.ts'
import { makeRedactor } from '../../runtime/redaction.ts'
import { SCRIPT } from './script.ts'

const MAX_MESSAGE_LENGTH = 300

/** An address with a scheme. The last `@` ends the password, which may contain slashes, quotes and spaces. */
const URL_LIKE = /\b[a-z][\w+.-]*:\/\/(?:[\s\S]*@)?\S*/gi
/** An address without a scheme, which a client library took for a file name or a host. */
const USER_INFO = /\S+@\S*/g
/** A server quotes a command that it does not know, even `AUTH` and `HELLO` with a password. */
const QUOTED = /(with args beginning with:)[\s\S]*/i

/**
 * Copies an error of a client library without its secrets: ioredis attaches the failed command, even `AUTH` with its password, and a
 * message may quote an address with user and password.
 *
 * @param secrets replaced wherever they are in the message. @default none
 */
export function withoutSecrets(error: unknown, secrets: readonly string[] = []): Error {
  if (!(error instanceof Error)) return new Error('no reason given')
  const redacted = makeRedactor(...secrets)(messageOf(error))
  const message = redacted.replace(URL_LIKE, '***').replace(QUOTED, '$1 ***').replace(USER_INFO, '***').slice(0, MAX_MESSAGE_LENGTH)
  const copy = new Error(message === '' ? 'no reason given' : message)
  copy.name = error.name
  if ('code' in error && typeof error.code === 'string') Object.assign(copy, { code: error.code })
  // The stack is not copied: it starts with the message.
  return copy
}

/** A host name with several addresses fails once for each of them, a cluster once for each server. Their reasons are in inner errors. */
function messageOf(error: Error): string {
  const inner = 'lastNodeError' in error ? [error.lastNodeError] : error instanceof AggregateError ? error.errors : []
  const texts = [error.message, ...inner.map((one: unknown) => (one instanceof Error ? one.message : ''))]
  return [...new Set(texts.filter((text) => text !== ''))].join(': ')
}

/** Temporary errors of the server: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
const TEMPORARY =
  /^(?:ERR )?(TRYAGAIN|ASK|MOVED|CLUSTERDOWN|LOADING|BUSY|READONLY|MASTERDOWN|MISCONF|OOM|NOREPLICAS|UNBLOCKED|ERR max number of clients)\b/
/** The server denies access. Redis 7.0 names neither the command nor the key of a script. */
const FORBIDDEN = /NOPERM|ACL failure|NOAUTH|WRONGPASS|no permissions|user executing the script can't/
/** Redis 6 does not know the shebang of the script. */
const TOO_OLD = /compiling script|@user_script: ?1: unexpected symbol near '#'/i
/** The names of errors by which client libraries report an error reply of the server. */
const REPLY_NAMES: ReadonlySet<string> = new Set(['ReplyError', 'ErrorReply', 'SimpleError', 'BlobError'])

/** Where a call failed. */
export interface Place {
  /** Of the server, without a user or a password. */
  readonly address: string
  /** The reason why the client has no connection. `undefined`: it has a connection. */
  readonly state: string | undefined
  /** The keys of the script: state, ended ids, lives, line. */
  readonly keys: readonly string[]
  /** The last error of the client's connection since Redis answered. */
  readonly connectionError?: unknown
  /** Passwords of the client. @default none */
  readonly secrets?: readonly string[]
}

/** The reason of a failed call, and advice. Contains no secrets. */
export interface Explanation {
  readonly message: string
  readonly reason: StoreErrorReason
  readonly cause: Error
}

/** Explains an error of a client library to an operator. */
export function explain(error: unknown, { address, state, keys, connectionError, secrets }: Place): Explanation {
  const own = withoutSecrets(error, secrets)
  const isReply = error instanceof Error && (REPLY_NAMES.has(error.name) || REPLY_NAMES.has(error.constructor.name))
  const connection = isReply || connectionError === undefined ? undefined : withoutSecrets(connectionError, secrets)
  // A client whose password was rejected closes its connection. Each later call fails only because it is closed.
  const cause = connection !== undefined && FORBIDDEN.test(connection.message) ? connection : own
  const text = cause.message
  if (FORBIDDEN.test(text)) {
    const called = calledAt(text, keys)
    const right = called === undefined ? `keys ${patternOf(keys)}` : `${called.commands} on ${called.keys}`
    const advice = 'check the password and the ACL of its user (docs/stores.md lists the rights)'
    const message = `Redis at ${address} refuses a right that the store needs (${right}): ${text}; ${advice}`
    return { message, reason: 'unwritable', cause }
  }
  if (TOO_OLD.test(text)) {
    return { message: `Redis at ${address} is too old: the store needs Redis 7 or Valkey (${text})`, reason: 'unwritable', cause }
  }
  if (isReply && !TEMPORARY.test(text)) {
    const where = calledAt(text, keys)?.keys ?? patternOf(keys)
    const advice = 'set another name for the fleet, or close all proxies and delete the keys'
    const message = `Redis at ${address} holds other data than this store's state under ${where}, or it is damaged: ${text}; ${advice}`
    return { message, reason: 'corrupt', cause }
  }
  const because = connection === undefined || connection.message === text ? '' : ` (${connection.message})`
  const hint = state === undefined ? '' : `; its client is ${state}`
  return { message: `Redis at ${address} is unavailable: ${text}${because}${hint}`, reason: 'unavailable', cause: connection ?? cause }
}

/** All keys of a fleet, like `{acestream:name}:*`. */
const patternOf = (keys: readonly string[]): string => `${keys[0]?.replace(/[^:]*$/, '') ?? ''}*`

/** Finds the commands that failed in the script: the error names a line of the script, and the line contains the commands and their keys. */
function calledAt(text: string, keys: readonly string[]): { commands: string; keys: string } | undefined {
  const [, number = ''] = /@?user_script:(\d+)/.exec(text) ?? []
  const line = SCRIPT.text.split('\n')[Number(number) - 1] ?? ''
  const calls = [...line.matchAll(/redis\.p?call\('(\w+)'(?:, (\w+))?/g)]
  if (number === '' || calls.length === 0) return undefined
  const variables: Record<string, string | undefined> = { fleet: keys[0], ended: keys[1], lives: keys[2], waiting: keys[3] }
  const named = calls.map(([, , variable = '']) => variables[variable] ?? patternOf(keys))
  return { commands: unique(calls.map(([, command = '']) => command)), keys: unique(named) }
}

const unique = (texts: readonly string[]): string => [...new Set(texts)].join(', ')

/** The error of a call after `close()`. */
export const closedError = (): StoreError =>
  new StoreError('The Redis store is closed; close the client before its store', { reason: 'unavailable' })

/** The error if the server loses the state of this process again and again. @param place like `Redis at redis:6379` */
export const lostStateError = (place: string, count: number): StoreError =>
  new StoreError(`${place} lost this process's state ${count} times in a row; the next call tries again`, { reason: 'unavailable' })
