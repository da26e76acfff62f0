import { isPromiseLike } from './maybe-promise.ts'

/** Where the client writes what an operator should know. `console` is one. No message or field ever holds the API key. */
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

/** A logger that cannot harm: a line that could not be written is no reason for a viewer to go without an engine. */
export function harmless(logger: Logger): Logger {
  const safe = { ...silentLogger }
  for (const level of LEVELS) {
    safe[level] = (message, fields) => {
      try {
        const written: unknown = logger[level](message, fields)
        if (isPromiseLike(written)) written.then(undefined, nothing)
      } catch {
        // There is nobody left to tell.
      }
    }
  }
  return safe
}
