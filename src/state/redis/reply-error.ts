const LONGEST_MESSAGE = 200

/**
 * What an error of a client library says, without what it carries: ioredis attaches the command that failed, `AUTH` with its password too,
 * and a message may quote the address that was given, with user and password in it.
 */
export function withoutSecrets(error: unknown): Error {
  if (!(error instanceof Error)) return new Error('no reason given')
  const message = error.message.replace(/\b[a-z][\w+.-]*:\/\/\S+/gi, '***').slice(0, LONGEST_MESSAGE)
  const copy = new Error(message === '' ? 'no reason given' : message)
  copy.name = error.name
  if ('code' in error && typeof error.code === 'string') Object.assign(copy, { code: error.code })
  // Its stack would begin with the message; this one's tells where it was noticed.
  return copy
}
