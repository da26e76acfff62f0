import { InvalidArgumentError } from '../errors.ts'

/*
 * Checks of the values that a host passes. Each check returns the value, or throws an {@link InvalidArgumentError} that names the argument
 * and says what was expected. `name` is the argument as a path: `retry.attempts`. No error shows a text that the host passed: it may be a
 * secret.
 */

/** The field names of a type. The compiler rejects a list that lacks a field or has another one. */
export type NamesOf<T> = Readonly<Record<keyof T, true>>

/** Options that all have a value. */
export type Resolved<Options> = { readonly [Name in keyof Options]-?: Exclude<Options[Name], undefined> }

/** Names for an object of options, as errors show them. */
export interface OptionsContext {
  /** The argument that the object was passed as. @default 'options' */
  readonly name?: string
  /** Precedes the names of its fields: `retry.` @default '' */
  readonly prefix?: string
  /** Where the call takes its signal, if not in this object: `as the second argument` */
  readonly signalGoes?: string
}

/**
 * An object whose own enumerable keys are all in `known`. The error for an unknown key suggests the known key that is most similar: without
 * TypeScript, a misspelled option would have no effect. Rejects an instance of a class that has none of these fields (a clock, a `Map`).
 */
export function expectOptions(
  value: unknown,
  known: Readonly<Record<string, unknown>>,
  { name = 'options', prefix = '', signalGoes }: OptionsContext = {},
): Record<string, unknown> {
  const options = expectObject(name, value)
  const signalAdvice = signalGoes === undefined ? undefined : `pass { signal } ${signalGoes}`
  const isController = value instanceof AbortController
  if (isController || !(isPlain(options) || Object.keys(options).length > 0 || Object.keys(known).some((option) => option in options))) {
    const names = Object.keys(known)
    const isSignal = isController || value instanceof AbortSignal
    const signalInHere = isController ? 'pass { signal: controller.signal }' : 'pass { signal }'
    const advice = isSignal ? (Object.hasOwn(known, 'signal') ? signalInHere : signalAdvice) : undefined
    throw new InvalidArgumentError(name, `an object, not ${describeInstance(options)}: ${advice ?? `the options are ${names.join(', ')}`}`)
  }
  for (const key of Object.keys(options)) {
    if (!Object.hasOwn(known, key))
      throw toUnknownNameError('option', key, Object.keys(known), prefix, key === 'signal' ? signalAdvice : undefined)
  }
  return options
}

/** An object of any kind, but no array. */
export function expectObject(name: string, value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw toWrongValueError(name, 'an object', value)
  return value as Record<string, unknown>
}

/** One of the `known` names. `kind` is the kind of name, for the error: `event`. */
export function expectKnownName(kind: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'string') throw new InvalidArgumentError(kind, `one of the names ${known.join(', ')}`)
  if (!known.includes(value)) throw toUnknownNameError(kind, value, known)
}

/**
 * Rejects an object that lacks a `required` field but has one with a similar name (`stat_url` for `statUrl`). For objects that may have
 * further fields, such as the whole answer of an engine.
 */
export function expectNoMisspelling(value: Readonly<Record<string, unknown>>, required: readonly string[], prefix: string): void {
  for (const name of required) {
    if (value[name] !== undefined) continue
    const others = Object.keys(value).filter((key) => !required.includes(key))
    const found = findNearestName(name, others)
    if (found !== undefined) throw toMisspelledError(name, found, prefix)
  }
}

/**
 * Rejects an object that lacks an optional field but has it in another spelling (`container_id` for `containerId`). Names that are only
 * similar may be fields of the host.
 */
export function expectSpelling(value: Readonly<Record<string, unknown>>, name: string, prefix: string): void {
  if (value[name] !== undefined) return
  const found = Object.keys(value).find((key) => key !== name && fold(key) === fold(name))
  if (found !== undefined) throw toMisspelledError(name, found, prefix)
}

/** A finite number of milliseconds, 0 or more. */
export function expectDuration(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  throw toWrongValueError(name, 'a finite number of milliseconds, 0 or more', value)
}

/** A finite number of milliseconds above 0. */
export function expectPositiveDuration(name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
  throw toWrongValueError(name, 'a finite number of milliseconds above 0', value)
}

/** A whole number, 1 or more. */
export function expectCount(name: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return value as number
  throw toWrongValueError(name, 'a whole number, 1 or more', value)
}

/** A text of 1 to `maxLength` characters. */
export function expectText(name: string, value: unknown, maxLength: number): string {
  if (typeof value === 'string' && value.length > 0 && value.length <= maxLength) return value
  throw toWrongValueError(name, `text of 1 to ${maxLength} characters`, value)
}

/** A boolean. */
export function expectBoolean(name: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw toWrongValueError(name, 'true or false', value)
}

/** One of the `known` texts. */
export function expectOneOf<Text extends string>(name: string, value: unknown, known: readonly Text[]): Text {
  const found = known.find((text) => text === value)
  if (found === undefined) throw new InvalidArgumentError(name, `one of ${known.map((text) => `'${text}'`).join(', ')}`)
  return found
}

/** A function. The caller knows its type. */
export function expectFunction<Fn>(name: string, value: unknown): Fn {
  if (typeof value === 'function') return value as Fn
  throw toWrongValueError(name, 'a function', value)
}

/** An absolute http or https URL, as a text or a `URL`. */
export function expectHttpUrl(name: string, value: unknown): URL {
  const url = typeof value === 'string' || value instanceof URL ? URL.parse(String(value)) : null
  if (url !== null && (url.protocol === 'http:' || url.protocol === 'https:')) return url
  throw new InvalidArgumentError(name, 'an absolute http or https URL, for example http://orchestrator:8000')
}

/** No characters that would change the meaning of a URL with this host, and no port: an IPv6 address has two colons or more. */
const HOST = /^(?![^:]*:[^:]*$)[^\s/?#@\\]+$/

/** An object with a host and a port of 1 to 65535. */
export function expectAddress(name: string, value: unknown): { host: string; port: number } {
  const address = expectObject(name, value)
  expectNoMisspelling(address, ['host', 'port'], `${name}.`)
  const { host, port } = address
  if (!Number.isInteger(port) || (port as number) < 1 || (port as number) > 65_535) {
    throw toWrongValueError(`${name}.port`, 'a whole number of 1 to 65535', port)
  }
  if (!HOST.test(expectText(`${name}.host`, host, 255)))
    throw new InvalidArgumentError(`${name}.host`, 'a host name or an IP address, without a port')
  return { host: host as string, port: port as number }
}

/** An object, or a function, that has all these methods. The caller knows their types. */
export function expectMethods<Port>(name: string, value: unknown, methods: readonly string[]): Port {
  const port = typeof value === 'object' || typeof value === 'function' ? (value as Record<string, unknown> | null) : null
  for (const method of methods) {
    if (typeof port?.[method] !== 'function') throw new InvalidArgumentError(name, `an object with a method ${method}`)
  }
  return value as Port
}

/**
 * The entries of an object whose keys are data: labels, headers. Rejects an instance without keys (a `Map`), which would count as empty.
 */
export function expectEntries(name: string, value: unknown): [key: string, value: unknown][] {
  const entries = Object.entries(expectObject(name, value))
  if (entries.length === 0 && !isPlain(value as object)) {
    throw new InvalidArgumentError(name, `an object of texts, not ${describeInstance(value as object)}`)
  }
  return entries
}

/** An object whose values are texts: labels, environment variables. */
export function expectTexts(name: string, value: unknown): Record<string, string> {
  for (const [key, text] of expectEntries(name, value)) {
    if (typeof text !== 'string') throw toWrongValueError(`${name}.${key}`, 'text', text)
  }
  return value as Record<string, string>
}

/** An `AbortSignal` or `undefined`. */
export function expectSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value
  throw toWrongValueError(name, 'an AbortSignal', value)
}

/** Container ids, in an array, a `Set` or anything else that can be iterated, except a text. */
export function expectIds(name: string, value: unknown): ReadonlySet<string> {
  const isIterable = typeof value === 'object' && value !== null && Symbol.iterator in value
  const ids: unknown[] = isIterable ? [...(value as Iterable<unknown>)] : []
  if (isIterable && ids.every((id) => typeof id === 'string')) return new Set(ids as string[])
  throw new InvalidArgumentError(name, 'container ids, as an array or a Set of texts')
}

/** Length to which a message cuts a name that a host wrote. */
const MAX_SHOWN_LENGTH = 100

/** The error for a wrong value. It shows a number or a boolean. Of any other value it shows only the type: a text may be a secret. */
function toWrongValueError(name: string, expected: string, value: unknown): InvalidArgumentError {
  if (value === undefined) return new InvalidArgumentError(name, expected)
  const isShown = value === null || typeof value === 'number' || typeof value === 'boolean'
  const length = typeof value === 'string' ? ` of ${value.length} characters` : ''
  const kind = Array.isArray(value) ? 'array' : typeof value
  return new InvalidArgumentError(name, `${expected}, not ${isShown ? String(value) : `${withArticle(kind)}${length}`}`)
}

function toMisspelledError(name: string, found: string, prefix: string): InvalidArgumentError {
  const message = `${prefix}${name} is missing; did you write it as ${prefix}${found}?`
  return new InvalidArgumentError(`${prefix}${name}`, 'to be there', { message })
}

function toUnknownNameError(kind: string, name: string, known: readonly string[], prefix = '', advice?: string): InvalidArgumentError {
  const shown = `${prefix}${name.slice(0, MAX_SHOWN_LENGTH)}`
  const nearest = findNearestName(name, known)
  const suggestion = nearest === undefined ? `known: ${known.join(', ')}` : `did you mean ${prefix}${nearest}?`
  const message = `unknown ${kind} ${shown}; ${advice ?? suggestion}`
  return new InvalidArgumentError(kind === 'option' ? shown : kind, `a known ${kind}`, { message })
}

/** Whether an object has no class, in this realm or another: its prototype is `null` or has no prototype. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** The class of an object: `an AbortSignal` */
function describeInstance(value: object): string {
  const { constructor: made } = value as { readonly constructor: unknown }
  return withArticle(typeof made === 'function' && made.name !== '' ? made.name.slice(0, MAX_SHOWN_LENGTH) : 'instance')
}

const withArticle = (noun: string): string => `${/^[AEIO]/i.test(noun) ? 'an' : 'a'} ${noun}`

/** Only this many characters of a name are compared: a name that a host wrote may have any length. */
const MAX_COMPARED_LENGTH = 100
/** A shorter part is not compared: `key` suggests `apiKey`, but `a` would suggest any name. */
const SHORTEST_PART = 3

/**
 * Finds the `known` name that the host most likely meant by `name`: one that differs in at most a third of its letters (`stat_url` for
 * `statUrl`), or the only one that begins or ends with the other (`wait` for `waitMs`). Case, underscores and hyphens do not count.
 * `undefined` if several names are possible: a wrong suggestion misleads.
 */
export function findNearestName(name: string, known: readonly string[]): string | undefined {
  const byDistance = known
    .map((candidate) => ({ candidate, distance: countEdits(fold(name), fold(candidate)) }))
    .sort((a, b) => a.distance - b.distance)
  const [nearest] = byDistance
  if (nearest === undefined) return undefined
  // One wrong letter is a typing error, even if a longer name begins in the same way.
  if (nearest.distance <= 1) return nearest.candidate
  const longer = known.filter((candidate) => isPart(name, candidate))
  if (longer.length > 0) return takeOnly(longer)
  if (nearest.distance <= Math.max(fold(name).length, fold(nearest.candidate).length) / 3) return nearest.candidate
  return takeOnly(known.filter((candidate) => isPart(candidate, name)))
}

const takeOnly = (names: readonly string[]): string | undefined => (names.length === 1 ? names[0] : undefined)

/** Whether `whole` begins or ends with `part`. */
function isPart(part: string, whole: string): boolean {
  const [short, long] = [fold(part), fold(whole)]
  return short.length >= SHORTEST_PART && (long.startsWith(short) || long.endsWith(short))
}

const fold = (name: string): string => name.slice(0, MAX_COMPARED_LENGTH).toLowerCase().replaceAll(/[_-]/g, '')

/** The number of letters to insert, delete, replace or exchange with the next one (optimal string alignment). */
function countEdits(a: string, b: string): number {
  let above: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i += 1) {
    const aboveThat = above
    above = row
    row = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (above[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      const isExchange = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const exchanged = isExchange ? (aboveThat[j - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY
      row.push(Math.min(replaced, exchanged, (above[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1))
    }
  }
  return row[b.length] ?? 0
}
