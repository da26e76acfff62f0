import { parseTimestamp } from './timestamps.ts'

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
