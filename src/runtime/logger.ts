import { ignoreRejection } from './maybe-promise.ts'

/**
 * Receives the log lines of the client. No message or field ever holds the API key.
 *
 * `console`, a pino logger and a bunyan logger work as they are. The client recognises the last two by their methods and calls them as they
 * expect: fields first, an error in the field `err`. Every other logger gets the message first, and an error in the field `error`.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { pino } from 'pino'
 *
 * const client = new OrchestratorClient({ baseUrl, logger: pino({ level: 'info' }) })
 */
export interface Logger {
  /** Each further failure of the same kind. */
  debug(message: string, fields?: object): void
  /** It works again. */
  info(message: string, fields?: object): void
  /** Something failed and may recover without help. */
  warn(message: string, fields?: object): void
  /** An operator must change something. */
  error(message: string, fields?: object): void
}

const nothing = (): void => {}

/** The default logger: it writes nothing. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** Calls the method of a logger in the way that this logger expects. */
type Write = (level: (typeof LEVELS)[number], message: string, fields: object | undefined) => unknown

/** The methods of pino and bunyan. With the message first they would drop the fields, or put them into the message. */
type FieldsFirst = Record<(typeof LEVELS)[number], (fields: object, message: string) => unknown>

/** Wraps a logger of the host so that its failures are ignored: a viewer must not lose an engine because a line could not be written. */
export function guardLogger(logger: Logger): Logger {
  const guarded = { ...silentLogger }
  const write = makeWrite(logger)
  for (const level of LEVELS) {
    guarded[level] = (message, fields) => {
      try {
        ignoreRejection(write(level, message, fields))
      } catch {
        // The logger is the only place to report a failure.
      }
    }
  }
  return guarded
}

function makeWrite(logger: Logger): Write {
  const { bindings, child, levels, addStream, fields: bound } = logger as unknown as Record<string, unknown>
  const isPino = typeof child === 'function' && typeof bindings === 'function' && typeof levels === 'object'
  const isBunyan = typeof child === 'function' && typeof addStream === 'function' && typeof bound === 'object'
  if (!isPino && !isBunyan) return (level, message, fields) => logger[level](message, fields)
  const fieldsFirst = logger as unknown as FieldsFirst
  return (level, message, fields = {}) => {
    const { error, ...rest } = fields as { error?: unknown }
    const needsPlainError = isBunyan && !hasErrorSerializer(logger)
    return fieldsFirst[level](error === undefined ? rest : { ...rest, err: needsPlainError ? toPlainError(error) : error }, message)
  }
}

/** Whether this bunyan logger has a serialiser for errors. Without one, bunyan would write no message of an error. */
function hasErrorSerializer(logger: Logger): boolean {
  const { serializers } = logger as { serializers?: { err?: unknown } | null }
  return typeof serializers?.err === 'function'
}

function toPlainError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack } = error
  return { ...error, name, message, stack }
}
