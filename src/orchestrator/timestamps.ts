/** ISO 8601 as Python (microseconds, with or without a zone) and Go (nanoseconds) write it. */
const ISO_8601 = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:?\d\d)?$/i
/** `Sun, 06 Nov 1994 08:49:37 GMT`, the one form of a date in a header that is still sent. */
const HTTP_DATE = /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/
/** How Go writes that there is no time. */
const GO_ZERO_TIME = '0001-01-01'
const SECONDS = /^\d+(?:\.\d+)?$/

/**
 * Milliseconds since the epoch, or `undefined` for anything that does not tell a time. A time without a zone is UTC: Python's naive
 * times are, and the host's zone would shift them by hours.
 */
export function parseTimestamp(value: unknown): number | undefined {
  const [, date, time, fraction = '', zone = 'Z'] = (typeof value === 'string' && ISO_8601.exec(value)) || []
  if (date === undefined || date === GO_ZERO_TIME) return undefined
  // Cut to what every engine's parser takes.
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
  // There is no 99th of January.
  return Number.isNaN(at) ? undefined : at
}

/**
 * Milliseconds that a `Retry-After` header asks to wait, given as seconds or as a date. A date is compared with the `Date` of the same
 * response, since both are the server's; without one, with the wall clock here.
 */
export function parseRetryAfter(headers: Headers, wallNowMs: number): number | undefined {
  const value = headers.get('retry-after')
  const date = parseHttpDate(value)
  if (date !== undefined) return Math.max(0, date - (parseHttpDate(headers.get('date')) ?? wallNowMs))
  const text = value?.trim() ?? ''
  const delayMs = SECONDS.test(text) ? Math.ceil(Number(text) * 1_000) : undefined
  // Nobody waits for more seconds than can be counted.
  return Number.isSafeInteger(delayMs) ? delayMs : undefined
}

const FRACTION = /\.(\d+)/
const DIGITS = 9
const NANOSECONDS_PER_MICROSECOND = 1_000n
const NANOSECONDS_PER_MILLISECOND = 1_000_000n

/**
 * Nanoseconds since the epoch, or `undefined` for anything that does not tell a time. Of two stamps of an orchestrator that is asked
 * twice within a millisecond this tells which was first; a `Date` does not. As text they cannot be compared: Go leaves trailing zeros
 * out, and writes whatever zone it runs in.
 */
export function parseNanoseconds(value: unknown): bigint | undefined {
  if (typeof value !== 'string') return undefined
  // The rest of the time is whole seconds, which are exact in milliseconds.
  const wholeMs = parseTimestamp(value.replace(FRACTION, ''))
  // Only what is a time with its fraction is one without it.
  if (wholeMs === undefined || parseTimestamp(value) === undefined) return undefined
  const digits = FRACTION.exec(value)?.[1] ?? ''
  return BigInt(wholeMs) * NANOSECONDS_PER_MILLISECOND + BigInt(digits.slice(0, DIGITS).padEnd(DIGITS, '0'))
}

/** Microseconds of a time in nanoseconds, rounded down: as exact as Python tells a time, and a number. */
export function toMicroseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / NANOSECONDS_PER_MICROSECOND)
}

/** Milliseconds of a time in nanoseconds, rounded down. */
export function toMilliseconds(nanoseconds: bigint): number {
  return Number(nanoseconds / NANOSECONDS_PER_MILLISECOND)
}
