import { InvalidArgumentError } from './errors.ts'

/** What would make a URL of it mean something else is no host. */
const HOST = /^[^\s/?#@\\]+$/

/** Options of which each has a value. */
export type Resolved<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> }

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** A plain object, whose fields are then checked one by one. */
export function expectObject(name: string, value: unknown): Record<string, unknown> {
  if (!isRecord(value)) throw new InvalidArgumentError(name, 'an object')
  return value
}

/** A finite number of milliseconds, 0 or more. */
export function expectDuration(name: string, value: unknown): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError(name, 'a finite number of milliseconds, 0 or more')
  }
  return value
}

/** As {@link expectDuration}, where 0 would make the thing useless. */
export function expectPositiveDuration(name: string, value: unknown): number {
  if (expectDuration(name, value) === 0) throw new InvalidArgumentError(name, 'a finite number of milliseconds above 0')
  return value as number
}

/** A whole number, 1 or more. */
export function expectCount(name: string, value: unknown): number {
  if (!Number.isSafeInteger(value) || (value as number) < 1) throw new InvalidArgumentError(name, 'a whole number, 1 or more')
  return value as number
}

/** Text that is not empty and no longer than `maxLength` characters. */
export function expectText(name: string, value: unknown, maxLength: number): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > maxLength) {
    throw new InvalidArgumentError(name, `text of 1 to ${maxLength} characters`)
  }
  return value
}

/** A boolean. */
export function expectBoolean(name: string, value: unknown): boolean {
  if (typeof value !== 'boolean') throw new InvalidArgumentError(name, 'true or false')
  return value
}

/** A function. */
export function expectFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new InvalidArgumentError(name, 'a function')
}

/** An absolute http or https URL. */
export function expectHttpUrl(name: string, value: unknown): URL {
  const url = typeof value === 'string' || value instanceof URL ? URL.parse(String(value)) : null
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new InvalidArgumentError(name, 'an absolute http or https URL')
  }
  return url
}

/** A host and a port of 1 to 65535. */
export function expectAddress(name: string, value: unknown): { host: string; port: number } {
  const { host, port } = expectObject(name, value)
  if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65_535) {
    throw new InvalidArgumentError(`${name}.port`, 'a whole number of 1 to 65535')
  }
  if (!HOST.test(expectText(`${name}.host`, host, 255))) throw new InvalidArgumentError(`${name}.host`, 'a host name or an IP address')
  return { host: host as string, port: port as number }
}

/** An object that has these methods. */
export function expectMethods(name: string, value: unknown, methods: readonly string[]): void {
  const port = typeof value === 'object' || typeof value === 'function' ? (value as Record<string, unknown> | null) : null
  for (const method of methods) {
    if (typeof port?.[method] !== 'function') throw new InvalidArgumentError(name, `an object with a method ${method}`)
  }
}

/** Text to text, as labels and environments are. */
export function expectTexts(name: string, value: unknown): Record<string, string> {
  for (const [key, text] of Object.entries(expectObject(name, value))) {
    if (typeof text !== 'string') throw new InvalidArgumentError(`${name}.${key}`, 'text')
  }
  return value as Record<string, string>
}

/** An abort signal, or nothing. */
export function expectSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value
  throw new InvalidArgumentError(name, 'an AbortSignal')
}
