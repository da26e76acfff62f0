import { InvalidArgumentError } from '../errors.ts'

/** The names of a type's fields. The compiler holds such a list equal to the type: a field that is missing or too many is an error. */
export type NamesOf<T> = Readonly<Record<keyof T, true>>

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

/** How an object of options is called in errors. */
interface OptionsContext {
  /** Of the argument. @default 'options' */
  readonly name?: string
  /** Of the names of its fields: `retry.` @default '' */
  readonly prefix?: string
  /** Where the call takes its signal, if not in this object: `as the second argument` */
  readonly signalGoes?: string
}

/**
 * An object whose own enumerable keys are all known: of an unknown one, the error names the known one that is most like it. Compilers do this for
 * TypeScript only. An instance of a class that has no option at all (a clock, a `Map`) is refused: its keys say nothing.
 */
export function expectOptions(
  value: unknown,
  known: Readonly<Record<string, true>>,
  { name = 'options', prefix = '', signalGoes }: OptionsContext = {},
): Record<string, unknown> {
  const options = expectObject(name, value)
  const names = Object.keys(known)
  const signalAdvice = signalGoes === undefined ? undefined : `pass { signal } ${signalGoes}`
  const isController = value instanceof AbortController
  if (isController || !(isPlain(options) || Object.keys(options).length > 0 || names.some((option) => option in options))) {
    const isSignal = isController || value instanceof AbortSignal
    const signalHere = isController ? 'pass { signal: controller.signal }' : 'pass { signal }'
    const advice = isSignal ? (Object.hasOwn(known, 'signal') ? signalHere : signalAdvice) : undefined
    throw new InvalidArgumentError(name, `an object, not ${instanceName(options)}: ${advice ?? `the options are ${names.join(', ')}`}`)
  }
  for (const key of Object.keys(options)) {
    if (!Object.hasOwn(known, key)) throw unknownName('option', key, names, prefix, key === 'signal' ? signalAdvice : undefined)
  }
  return options
}

/** Whether it is an object of no class, of this realm or another: its prototype is `null` or has none. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** `an AbortSignal` */
function instanceName(value: object): string {
  const { constructor: made } = value as { readonly constructor: unknown }
  const className = typeof made === 'function' && made.name !== '' ? made.name : 'instance'
  return `${/^[AEIO]/i.test(className) ? 'an' : 'a'} ${className.slice(0, LONGEST_SHOWN)}`
}

/** One of these names. `kind` says what is named: `event`. */
export function expectKnownName(kind: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'string') throw new InvalidArgumentError(kind, `the name of one: ${known.join(', ')}`)
  if (!known.includes(value)) throw unknownName(kind, value, known)
}

/**
 * Rejects an object that lacks a field and has one of nearly that name instead (`stat_url` for `statUrl`). For objects that may hold more than
 * is read, such as an engine's whole answer.
 */
export function expectNoMisspelling(value: Readonly<Record<string, unknown>>, required: readonly string[], prefix: string): void {
  for (const name of required) {
    if (value[name] !== undefined) continue
    const others = Object.keys(value).filter((key) => !required.includes(key))
    const found = nearestName(name, others)
    if (found !== undefined) throw missing(name, found, prefix)
  }
}

/**
 * Rejects an object that lacks an optional field and has it in another spelling (`container_id` for `containerId`). Names that are only similar
 * are the host's own.
 */
export function expectSpelling(value: Readonly<Record<string, unknown>>, name: string, prefix: string): void {
  if (value[name] !== undefined) return
  const found = Object.keys(value).find((key) => key !== name && isSameName(key, name))
  if (found !== undefined) throw missing(name, found, prefix)
}

function missing(name: string, found: string, prefix: string): InvalidArgumentError {
  const message = `${prefix}${name} is missing; is ${prefix}${found} meant for it?`
  return new InvalidArgumentError(`${prefix}${name}`, 'to be there', { message })
}

/** As many characters of a name as a message shows. */
const LONGEST_SHOWN = 100

function unknownName(kind: string, name: string, known: readonly string[], prefix = '', advised?: string): InvalidArgumentError {
  const argument = kind === 'option' ? `${prefix}${name.slice(0, LONGEST_SHOWN)}` : kind
  const nearest = nearestName(name, known)
  const advice = advised ?? (nearest === undefined ? `known: ${known.join(', ')}` : `did you mean ${prefix}${nearest}?`)
  const message = `unknown ${kind} ${prefix}${name.slice(0, LONGEST_SHOWN)}; ${advice}`
  return new InvalidArgumentError(argument, `a known ${kind}`, { message })
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

/** One of these texts. */
export function expectOneOf(name: string, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'string' || !known.includes(value)) {
    throw new InvalidArgumentError(name, `one of ${known.map((text) => `'${text}'`).join(', ')}`)
  }
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
  const address = expectObject(name, value)
  expectNoMisspelling(address, ['host', 'port'], `${name}.`)
  const { host, port } = address
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

/** An object whose own keys are data: of labels, or of headers. An instance without keys (a `Map`) would pass for an empty one. */
export function expectEntries(name: string, value: unknown): [key: string, value: unknown][] {
  const entries = Object.entries(expectObject(name, value))
  if (entries.length === 0 && !isPlain(value as object)) {
    throw new InvalidArgumentError(name, `an object of texts, not ${instanceName(value as object)}`)
  }
  return entries
}

/** Text to text, as labels and environments are. */
export function expectTexts(name: string, value: unknown): Record<string, string> {
  for (const [key, text] of expectEntries(name, value)) {
    if (typeof text !== 'string') throw new InvalidArgumentError(`${name}.${key}`, 'text')
  }
  return value as Record<string, string>
}

/** An abort signal, or nothing. */
export function expectSignal(name: string, value: unknown): AbortSignal | undefined {
  if (value === undefined || value instanceof AbortSignal) return value
  throw new InvalidArgumentError(name, 'an AbortSignal')
}

/** Container ids, in anything that can be iterated but a text. */
export function expectIds(name: string, value: unknown): ReadonlySet<string> {
  if (typeof value === 'string' || typeof value !== 'object' || value === null || !(Symbol.iterator in value)) {
    throw new InvalidArgumentError(name, 'container ids')
  }
  const ids = new Set(value as Iterable<unknown>)
  for (const id of ids) if (typeof id !== 'string') throw new InvalidArgumentError(name, 'container ids')
  return ids as ReadonlySet<string>
}

/** Longer names are compared by their beginning: a host's key may have any length. */
const LONGEST_COMPARED = 100
/** `key` is meant for `apiKey`, but `a` for nothing. */
const SHORTEST_PART = 3

/**
 * The name of `known` that a person who wrote `name` most likely meant: a name that differs in a third of its letters at most, in case or in
 * underscores (`stat_url` for `statUrl`), or the only name that begins or ends with the other (`wait` for `waitMs`). A wrong guess misleads, so
 * the answer is `undefined` where it is not clear which name was meant.
 */
function nearestName(name: string, known: readonly string[]): string | undefined {
  const byEdits = known.map((candidate) => ({ candidate, edits: editsBetween(name, candidate) })).sort((a, b) => a.edits - b.edits)
  const [nearest] = byEdits
  if (nearest === undefined) return undefined
  // One letter is a typing error, also beside a longer name that begins alike.
  if (nearest.edits <= 1) return nearest.candidate
  const longer = known.filter((candidate) => isPart(name, candidate))
  if (longer.length > 0) return onlyOf(longer)
  if (nearest.edits <= Math.max(folded(name).length, folded(nearest.candidate).length) / 3) return nearest.candidate
  return onlyOf(known.filter((candidate) => isPart(candidate, name)))
}

/** Whether two spellings are of one name: they differ in case, underscores or hyphens only. */
const isSameName = (a: string, b: string): boolean => folded(a) === folded(b)

const onlyOf = (names: readonly string[]): string | undefined => (names.length === 1 ? names[0] : undefined)

/** Whether `whole` begins or ends with `part`. */
function isPart(part: string, whole: string): boolean {
  const [short, long] = [folded(part), folded(whole)]
  return short.length >= SHORTEST_PART && (long.startsWith(short) || long.endsWith(short))
}

const editsBetween = (a: string, b: string): number => editDistance(folded(a), folded(b))

const folded = (name: string): string => name.slice(0, LONGEST_COMPARED).toLowerCase().replaceAll(/[_-]/g, '')

/** Letters to insert, delete, replace or exchange with the next (optimal string alignment). */
function editDistance(a: string, b: string): number {
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
