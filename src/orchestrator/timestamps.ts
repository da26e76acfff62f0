/** ISO 8601, as Python writes it (microseconds, with or without a zone) and Go (nanoseconds). */
const ISO_8601 = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?$/i
/** `Sun, 06 Nov 1994 08:49:37 GMT`: the only form of a date that servers still send in headers (RFC 9110, 5.6.7). */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/
/** The date that Go writes for a missing time. */
const GO_ZERO_TIME = '0001-01-01'
const SECONDS = /^\d+(?:\.\d+)?$/

/**
 * Milliseconds since the epoch; `undefined` for a value that is not a time. A time without a zone is UTC, as in Python's naive times; the local zone
 * would shift it by hours.
 */
export function parseTimestamp(value: unknown): number | undefined {
  const [, date, time, fraction = '', zone = 'Z'] = (typeof value === 'string' && ISO_8601.exec(value)) || []
  if (date === undefined || date === GO_ZERO_TIME) return undefined
  // Milliseconds only: not every JavaScript engine parses more digits.
  const at = Date.parse(`${date}T${time}${fraction.slice(0, 4)}${zone.toUpperCase()}`)
  return Number.isNaN(at) ? undefined : at
}

/** {@link parseTimestamp} as a new `Date`. */
export function parseDate(value: unknown): Date | undefined {
  const at = parseTimestamp(value)
  return at === undefined ? undefined : new Date(at)
}

/** A date in a header, `Sun, 06 Nov 1994 08:49:37 GMT`, as milliseconds since the epoch. */
export function parseHttpDate(value: string | null): number | undefined {
  const text = value?.trim() ?? ''
  const at = HTTP_DATE.test(text) ? Date.parse(text) : Number.NaN
  // The pattern also matches a 99th of January.
  return Number.isNaN(at) ? undefined : at
}

/**
 * Milliseconds to wait according to a `Retry-After` header; `undefined` without the header. Its value is seconds or a date. A date is compared with
 * the header `Date`, because both come from the server's clock, or with `wallNowMs` if there is none.
 */
export function parseRetryAfter(headers: Headers, wallNowMs: number): number | undefined {
  const value = headers.get('retry-after')
  const date = parseHttpDate(value)
  if (date !== undefined) return Math.max(0, date - (parseHttpDate(headers.get('date')) ?? wallNowMs))
  const text = value?.trim() ?? ''
  const delayMs = SECONDS.test(text) ? Math.ceil(Number(text) * 1_000) : undefined
  // A number beyond the safe integers is not a wait.
  return Number.isSafeInteger(delayMs) ? delayMs : undefined
}

const FRACTION = /\.(\d+)/
const DIGITS = 9
const NANOSECONDS_PER_MICROSECOND = 1_000n
const NANOSECONDS_PER_MILLISECOND = 1_000_000n

/**
 * Nanoseconds since the epoch; `undefined` for a value that is not a time. Unlike a `Date`, it orders two times within one millisecond. The texts
 * cannot be compared: Go omits trailing zeros and uses the zone in which it runs.
 */
export function parseNanoseconds(value: unknown): bigint | undefined {
  if (typeof value !== 'string') return undefined
  // Without its fraction the time is whole seconds, which are exact in milliseconds.
  const wholeMs = parseTimestamp(value.replace(FRACTION, ''))
  // The value must be a time with its fraction too.
  if (wholeMs === undefined || parseTimestamp(value) === undefined) return undefined
  const digits = FRACTION.exec(value)?.[1] ?? ''
  return BigInt(wholeMs) * NANOSECONDS_PER_MILLISECOND + BigInt(digits.slice(0, DIGITS).padEnd(DIGITS, '0'))
}

/** Converts nanoseconds to microseconds, rounded down: the resolution of Python's times, and exact as a number. */
export function toMicroseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / NANOSECONDS_PER_MICROSECOND)
}

/** Converts nanoseconds to milliseconds, rounded down. */
export function toMilliseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / NANOSECONDS_PER_MILLISECOND)
}
