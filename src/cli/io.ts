import type { EnvironmentOverrides } from '../options/environment.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Connect } from '../runtime/connect.ts'

/** Everything that the command line gets from its process. */
export interface Io {
  /** The arguments after the name of the program. */
  readonly args: readonly string[]
  /** The version of this package. */
  readonly version: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** Writes to the standard output. */
  write(text: string): void
  /** Writes to the standard error output. */
  writeError(text: string): void
  /** Whether the standard output is a terminal. */
  readonly isTerminal: boolean
  /** The width of the terminal, which may change. `undefined`: 80. */
  readonly columns?: number | undefined
  /** The height of the terminal, which may change. `undefined`: there is none. */
  readonly rows?: number | undefined
  readonly clock: Clock
  /** Aborts when the user interrupts the program. */
  readonly signal: AbortSignal
  /** Options of the client that win over the arguments. For tests. */
  readonly overrides?: EnvironmentOverrides
  /** Opens a TCP connection. @default the sockets of the platform */
  readonly connect?: Connect
}

/**
 * The exit codes. `problem`: something is wrong, or the request failed. `usage`: the arguments are wrong. The last two: the user ended the program
 * with Ctrl-C, or another program ended it, before it had a result. They are 128 and the number of the signal, as in a shell.
 */
export const EXIT = { good: 0, problem: 1, usage: 2, interrupted: 130, terminated: 143 } as const

/** An exit code. */
export type ExitCode = (typeof EXIT)[keyof typeof EXIT]
