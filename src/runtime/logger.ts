import { ignoreRejection } from './maybe-promise.ts'

/**
 * Where the client writes what an operator should know. No message or field ever holds the API key.
 *
 * `console`, a pino logger and a bunyan logger are loggers as they are. The last two are recognised by their own methods and called with the
 * fields first, as they want it, and an error under `err`, where their serialisers look for it. All others get the message first, and an
 * error under `error`.
 *
 * @example
 * import { OrchestratorClient } from 'acestream-orchestrator-client'
 * import { pino } from 'pino'
 *
 * const client = new OrchestratorClient({ baseUrl, logger: pino({ level: 'info' }) })
 */
export interface Logger {
  debug(message: string, fields?: object): void
  info(message: string, fields?: object): void
  warn(message: string, fields?: object): void
  error(message: string, fields?: object): void
}

const nothing = (): void => {}

/** The default: says nothing. */
export const silentLogger: Logger = { debug: nothing, info: nothing, warn: nothing, error: nothing }

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

/** How this logger's methods are called. */
type Write = (level: (typeof LEVELS)[number], message: string, fields: object | undefined) => unknown

/** pino's and bunyan's methods: with the message first they would drop the fields, or take them for something to format. */
type FieldsFirst = Record<(typeof LEVELS)[number], (fields: object, message: string) => unknown>

/** A logger that cannot harm: a line that could not be written is no reason for a viewer to go without an engine. */
export function harmless(logger: Logger): Logger {
  const safe = { ...silentLogger }
  const write = writerFor(logger)
  for (const level of LEVELS) {
    safe[level] = (message, fields) => {
      try {
        ignoreRejection(write(level, message, fields))
      } catch {
        // There is nobody left to tell.
      }
    }
  }
  return safe
}

function writerFor(logger: Logger): Write {
  const { bindings, child, levels, addStream, fields: bound } = logger as unknown as Record<string, unknown>
  const isPino = typeof child === 'function' && typeof bindings === 'function' && typeof levels === 'object'
  const isBunyan = typeof child === 'function' && typeof addStream === 'function' && typeof bound === 'object'
  if (!isPino && !isBunyan) return (level, message, fields) => logger[level](message, fields)
  const fieldsFirst = logger as unknown as FieldsFirst
  return (level, message, fields = {}) => {
    const { error, ...rest } = fields as { error?: unknown }
    const isPlain = isBunyan && !hasErrorSerializer(logger)
    return fieldsFirst[level](error === undefined ? rest : { ...rest, err: isPlain ? plainError(error) : error }, message)
  }
}

/** bunyan has serialisers only where its owner set them, and without one writes an error's message nowhere. */
function hasErrorSerializer(logger: Logger): boolean {
  const { serializers } = logger as { serializers?: { err?: unknown } | null }
  return typeof serializers?.err === 'function'
}

function plainError(error: unknown): unknown {
  if (!(error instanceof Error)) return error
  const { name, message, stack } = error
  return { ...error, name, message, stack }
}
