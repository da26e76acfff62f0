import type { AcquireOptions } from './call-options.ts'
import { ACQUIRE_OPTIONS, checkOptions } from './resolve.ts'

/** The options of `acquireEngine` after their checks, with all defaults. */
export interface CheckedAcquireOptions {
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
  readonly exclude: ReadonlySet<string>
  readonly content: AcquireOptions['content']
  /** The option `provision`. */
  readonly mayProvision: boolean
}

/** Of a call without options. Such calls share it, so that each of them does no work. */
let withoutOptions: CheckedAcquireOptions | undefined

/**
 * Checks the options of `acquireEngine`.
 *
 * @returns a frozen object
 * @throws {@link InvalidArgumentError} with the name of an option that is unknown or wrong
 */
export function checkAcquireOptions(options: AcquireOptions): CheckedAcquireOptions {
  if (withoutOptions !== undefined && isEmpty(options)) return withoutOptions
  const { signal, waitMs, exclude, content, provision: mayProvision } = checkOptions(ACQUIRE_OPTIONS, options)
  const checked = Object.freeze({ signal, waitMs, exclude, content, mayProvision })
  if (isEmpty(options)) withoutOptions = checked
  return checked
}

/** Whether this is an object literal without any field. */
function isEmpty(options: unknown): boolean {
  if (typeof options !== 'object' || options === null || Object.getPrototypeOf(options) !== Object.prototype) return false
  for (const _ in options) return false
  return true
}
