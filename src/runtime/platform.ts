/*
 * Names of types that every platform has and not every compiler knows: with `lib: ["es2022"]` and `types: []` there is no `AbortSignal`, `URL`
 * or `Headers`. The public declarations use these names, so that they compile there too.
 */

/** The platform's `AbortSignal`. Where the compiler does not know it: the parts of it that are used. */
export type PlatformAbortSignal = typeof globalThis extends { AbortSignal: { prototype: infer Signal } } ? Signal : AbortSignalLike

/** The platform's `URL`. Where the compiler does not know it: the parts of it that are used. */
export type PlatformUrl = typeof globalThis extends { URL: { prototype: infer Url } } ? Url : UrlLike

/** The platform's `Headers`. Where the compiler does not know it: the parts of it that are used. */
export type PlatformHeaders = typeof globalThis extends { Headers: { prototype: infer Fields } } ? Fields : HeadersLike

/** The parts of an `AbortSignal` that are used. */
export interface AbortSignalLike {
  readonly aborted: boolean
  readonly reason: unknown
  throwIfAborted(): void
  addEventListener(type: 'abort', listener: () => void, options?: { once?: boolean | undefined }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** The parts of a `URL` that are used. */
export interface UrlLike {
  readonly href: string
  readonly origin: string
  readonly protocol: string
  readonly pathname: string
  readonly search: string
  toString(): string
}

/** The parts of `Headers` that are used. */
export interface HeadersLike {
  get(name: string): string | null
}

/** Node, Bun and Deno call the method of this name to show an object, as `console.log` does. */
const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/**
 * Says what `console.log` shows of an object: a name, and the fields that `read` picks, whatever else the object holds.
 *
 * @param target the object, or the prototype of all of its class
 */
export function showAs<Target extends object>(target: Target, name: string, read: (shown: Target) => object): void {
  function show(this: Target, depth: number, options: object, inspect: (value: unknown, options: object) => string): string {
    return depth < 0 ? `[${name}]` : `${name} ${inspect(read(this), options)}`
  }
  Object.defineProperty(target, INSPECT, { value: show })
}
