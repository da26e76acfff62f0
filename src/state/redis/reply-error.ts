import type { StoreErrorReason } from '../../errors.ts'

const LONGEST_MESSAGE = 300

/**
 * What an error of a client library says, without what it carries: ioredis attaches the command that failed, `AUTH` with its password too,
 * and a message may quote the address that was given, with user and password in it.
 */
export function withoutSecrets(error: unknown): Error {
  if (!(error instanceof Error)) return new Error('no reason given')
  // The last `@` of an address ends its password, which may contain slashes and spaces.
  const message = error.message.replace(/\b[a-z][\w+.-]*:\/\/(?:.*@)?\S*/gi, '***').slice(0, LONGEST_MESSAGE)
  const copy = new Error(message === '' ? 'no reason given' : message)
  copy.name = error.name
  if ('code' in error && typeof error.code === 'string') Object.assign(copy, { code: error.code })
  // Its stack would begin with the message; this one's tells where it was noticed.
  return copy
}

/** Errors of the server that pass: https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
const PASSING = /^(TRYAGAIN|ASK|MOVED|CLUSTERDOWN|LOADING|BUSY|READONLY|MASTERDOWN|MISCONF|OOM|NOREPLICAS|UNBLOCKED)\b/
/** What the server says that has not let us do something, with the command's name where it gives one. */
const FORBIDDEN = /NOPERM|ACL failure|NOAUTH|WRONGPASS|no permissions/
/** The names that client libraries give to errors that the server answered with. */
const REPLY_NAMES: ReadonlySet<string> = new Set(['ReplyError', 'ErrorReply', 'SimpleError', 'BlobError'])

/** What went wrong, and what to do. */
export interface Explanation {
  readonly message: string
  readonly reason: StoreErrorReason
  readonly cause: Error
}

/** Explains why a call failed. `state`: what the client says of its connection. */
export function explain(error: unknown, { address, state }: { address: string; state: string | undefined }): Explanation {
  const cause = withoutSecrets(error)
  const said = cause.message
  if (FORBIDDEN.test(said)) {
    const message = `Redis at ${address} refuses what the store needs: ${said}. Give its user the rights in docs/stores.md`
    return { message, reason: 'unwritable', cause }
  }
  if (/compiling script|@user_script: ?1: unexpected symbol near '#'/i.test(said)) {
    return { message: `Redis at ${address} is too old: the store needs Redis 7 or Valkey (${said})`, reason: 'unwritable', cause }
  }
  const isReply = error instanceof Error && (REPLY_NAMES.has(error.name) || REPLY_NAMES.has(error.constructor.name))
  if (isReply && !PASSING.test(said)) {
    const message = `Redis at ${address} holds something else than this store's state, or it is damaged: ${said}`
    return { message, reason: 'corrupt', cause }
  }
  const hint = state === undefined ? '' : `; its client is ${state}`
  return { message: `Redis at ${address} is away: ${said}${hint}`, reason: 'unavailable', cause }
}
