/*
 * Types that exist on every platform, but not in every TypeScript configuration: with `lib: ["es2022"]` and `types: []` there is no
 * `AbortSignal`, `URL` or `Headers`. The public declarations use the names below, so that they compile there too.
 */

/** The platform's `AbortSignal`. If the compiler does not know it: the members that the client uses. */
export type PlatformAbortSignal = typeof globalThis extends { AbortSignal: { prototype: infer Signal } } ? Signal : AbortSignalLike

/** The platform's `URL`. If the compiler does not know it: the members that the client uses. */
export type PlatformUrl = typeof globalThis extends { URL: { prototype: infer Url } } ? Url : UrlLike

/** The platform's `Headers`. If the compiler does not know it: the members that the client uses. */
export type PlatformHeaders = typeof globalThis extends { Headers: { prototype: infer Fields } } ? Fields : HeadersLike

/** The members of an `AbortSignal` that the client uses. */
export interface AbortSignalLike {
  /** Whether it has aborted. */
  readonly aborted: boolean
  /** Why it has aborted. */
  readonly reason: unknown
  /** Throws the reason if it has aborted. */
  throwIfAborted(): void
  /** Calls `listener` when it aborts. */
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean | undefined }): void
  /** Removes a listener. */
  removeEventListener(type: 'abort', listener: () => void): void
}

/** The members of a `URL` that the client uses. */
export interface UrlLike {
  /** The whole address. */
  readonly href: string
  /** Scheme, host and port. */
  readonly origin: string
  /** The scheme, with its colon. */
  readonly protocol: string
  /** The path, from its slash on. */
  readonly pathname: string
  /** The query, with its question mark; empty if there is none. */
  readonly search: string
  /** The whole address. */
  toString(): string
}

/** The members of `Headers` that the client uses. */
export interface HeadersLike {
  /** The value of a header; `null` if it is absent. */
  get(name: string): string | null
}

/** Node, Bun and Deno call the method of this name to show an object, for example in `console.log`. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/**
 * Defines the fields that `console.log` and `JSON.stringify` show of an object, instead of its inner state.
 *
 * @param target the object, or the prototype of its class
 * @param name is shown first
 * @param read returns the fields to show
 */
export function showAs<Target extends object>(target: Target, name: string, read: (shown: Target) => object): void {
  function show(this: Target, depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
    return depth < 0 ? `[${name}]` : `${name} ${inspect(read(this), options)}`
  }
  function toJSON(this: Target): object {
    return read(this)
  }
  const shared = { configurable: true, writable: true }
  Object.defineProperties(target, { [INSPECT]: { value: show, ...shared }, toJSON: { value: toJSON, ...shared } })
}

/** A channel of `node:diagnostics_channel`. */
export interface DiagnosticsChannel {
  readonly hasSubscribers: boolean
  publish(message: object): void
}

/** The part of `process` that loads a built-in module without an import, which a browser, a bundler or an older runtime could not resolve. */
interface ModuleLoader {
  getBuiltinModule?: (name: string) => unknown
}

/** A built-in module, for example `node:sqlite`, or `undefined` where the platform has none of this name. */
export function builtinModule(name: string): unknown {
  const { process } = globalThis as { process?: ModuleLoader }
  return process?.getBuiltinModule?.(name)
}

const SILENT_CHANNEL: DiagnosticsChannel = { hasSubscribers: false, publish: () => {} }

/** The diagnostics channel of this name. Where the platform has none, a channel without subscribers. */
export function diagnosticsChannel(name: string): DiagnosticsChannel {
  const module = builtinModule('node:diagnostics_channel') as { channel(name: string): DiagnosticsChannel } | undefined
  return module?.channel(name) ?? SILENT_CHANNEL
}
