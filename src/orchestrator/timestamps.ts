/** ISO 8601, as Python writes it (microseconds, with or without a zone) and Go (nanoseconds). */
const ISO_8601 = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?$/i
/** `Sun, 06 Nov 1994 08:49:37 GMT`: the only form of a date that servers still send in headers (RFC 9110, 5.6.7). */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/
/** The date that Go writes for a missing time. */
const GO_ZERO_TIME = '0001-01-01'
/** Not every JavaScript engine parses more digits. */
const DIGITS_OF_MILLISECONDS = 3
const SECONDS = /^\d+(?:\.\d+)?$/

/** Days before each month of a year that is not a leap year. */
const DAYS_BEFORE_MONTH = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
/** Days from the year 0 to 1970. */
const DAYS_BEFORE_EPOCH = 719_528
const MS_PER_DAY = 86_400_000
const ZERO = 48
const NOT_A_NUMBER = -1_000_000

/** The number that two digits at `index` write; far below 0 if one is not a digit. */
function twoDigits(text: string, index: number): number {
  const tens = text.charCodeAt(index) - ZERO
  const ones = text.charCodeAt(index + 1) - ZERO
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : NOT_A_NUMBER
}

const LENGTH_OF_SECONDS = 19
const TIME = /^(?:\.\d+)?(?:Z|\+00:00)?$/
/** Positions and characters of the separators in `2026-11-23T22:06:57`. */
const isSeparated = (text: string): boolean =>
  text[4] === '-' && text[7] === '-' && text[10] === 'T' && text[13] === ':' && text[16] === ':'

/**
 * {@link parseTimestamp} of the usual form, a time in UTC, several times faster than with `Date.parse`. `undefined` for other forms and for the last
 * days of a month, which depend on its length.
 */
function parseUsualTimestamp(text: string): number | undefined {
  if (!(isSeparated(text) && TIME.test(text.slice(LENGTH_OF_SECONDS)))) return undefined
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  const hour = twoDigits(text, 11)
  const minute = twoDigits(text, 14)
  const second = twoDigits(text, 17)
  const isDate = year >= 1_970 && month >= 1 && month <= 12 && day >= 1 && day <= 28
  const isTime = hour >= 0 && hour <= 23 && minute >= 0 && minute <= 59 && second >= 0 && second <= 59
  if (!(isDate && isTime)) return undefined
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  const leapDays = Math.ceil(year / 4) - Math.ceil(year / 100) + Math.ceil(year / 400) + (isLeap && month > 2 ? 1 : 0)
  const days = year * 365 + leapDays + (DAYS_BEFORE_MONTH[month - 1] ?? 0) + day - 1 - DAYS_BEFORE_EPOCH
  return days * MS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1_000 + threeDigits(text, LENGTH_OF_SECONDS + 1)
}

/** The number that three digits of a fraction at `start` write. Digits that are missing count as 0. */
function threeDigits(text: string, start: number): number {
  let result = 0
  for (let index = start; index < start + DIGITS_OF_MILLISECONDS; index += 1) {
    const digit = text.charCodeAt(index) - ZERO
    result = result * 10 + (digit >= 0 && digit <= 9 ? digit : 0)
  }
  return result
}

/**
 * Milliseconds since the epoch; `undefined` for a value that is not a time. A time without a zone is UTC, as in Python's naive times; the local zone
 * would shift it by hours.
 */
export function parseTimestamp(value: unknown): number | undefined {
  return typeof value === 'string' ? (parseUsualTimestamp(value) ?? parseIso(value)?.at) : undefined
}

/** The milliseconds since the epoch of a time, and all digits of its fraction of a second. */
function parseIso(value: unknown): { readonly at: number; readonly fraction: string } | undefined {
  const [, date, time, fraction = '', zone = 'Z'] = (typeof value === 'string' && ISO_8601.exec(value)) || []
  if (date === undefined || date === GO_ZERO_TIME) return undefined
  const at = Date.parse(`${date}T${time}${fraction.slice(0, 1 + DIGITS_OF_MILLISECONDS)}${zone.toUpperCase()}`)
  return Number.isNaN(at) ? undefined : { at, fraction: fraction.slice(1) }
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

const DIGITS = 9
const MS_PER_SECOND = 1_000
const US_PER_MS = 1_000
const NANOSECONDS_PER_SECOND = 1_000_000_000n
const NANOSECONDS_PER_MICROSECOND = 1_000n
const NANOSECONDS_PER_MILLISECOND = 1_000_000n

/**
 * Nanoseconds since the epoch; `undefined` for a value that is not a time. Unlike a `Date`, it orders two times within one millisecond. The texts
 * cannot be compared: Go omits trailing zeros and uses the zone in which it runs.
 */
export function parseNanoseconds(value: unknown): bigint | undefined {
  const time = parseIso(value)
  if (time === undefined) return undefined
  const seconds = BigInt(Math.floor(time.at / MS_PER_SECOND))
  return seconds * NANOSECONDS_PER_SECOND + BigInt(time.fraction.slice(0, DIGITS).padEnd(DIGITS, '0'))
}

/** Microseconds since the epoch, rounded down; `undefined` for a value that is not a time. The same as of {@link parseNanoseconds}. */
export function parseMicroseconds(value: unknown): number | undefined {
  const usual = typeof value === 'string' ? parseUsualTimestamp(value) : undefined
  if (usual !== undefined) return usual * US_PER_MS + threeDigits(value as string, LENGTH_OF_SECONDS + 1 + DIGITS_OF_MILLISECONDS)
  const nanoseconds = parseNanoseconds(value)
  return nanoseconds === undefined ? undefined : toMicroseconds(nanoseconds)
}

/** Converts nanoseconds to microseconds, rounded down: the resolution of Python's times, and exact as a number. */
export function toMicroseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / NANOSECONDS_PER_MICROSECOND)
}

/** Converts nanoseconds to milliseconds, rounded down. */
export function toMilliseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / NANOSECONDS_PER_MILLISECOND)
}
