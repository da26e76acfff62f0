import type { Logger } from 'acestream-orchestrator-client'
import type { LogLevel } from './config.ts'

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/** Creates a logger that writes one JSON object per line, as log collectors of containers expect. */
export function jsonLogger(level: LogLevel, write: (line: string) => void): Logger {
  const at =
    (own: LogLevel) =>
    (message: string, fields: object = {}): void => {
      if (RANK[own] < RANK[level]) return
      write(`${JSON.stringify({ time: new Date().toISOString(), level: own, message, ...fields }, plainErrors)}\n`)
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Returns a logger that adds `fields` to each line. */
export function withFields(log: Logger, fields: object): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, own: object = {}): void =>
      log[level](message, { ...fields, ...own })
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/**
 * Keeps name, message and cause of errors: `JSON.stringify` would write most errors as `{}`, and those with a `toJSON` without their cause. It calls
 * `toJSON` before this function, so the error itself is a field of `this`.
 */
function plainErrors(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const error = this[key]
  if (!(error instanceof Error)) return value
  const { name, message, cause } = error
  return cause === undefined ? { name, message } : { name, message, cause }
}
