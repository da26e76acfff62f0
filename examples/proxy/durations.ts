/** Units of durations in Go (`500ms`, `1m`, `1m30s`, `1.5s`), in milliseconds. */
const UNITS: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
const PART = /(\d+(?:\.\d+)?|\.\d+)(ns|us|µs|ms|s|m|h)/gy

/** Parses a duration in Go's format. Returns milliseconds, or `undefined` if the text is no duration. */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0
  let total = 0
  let end = 0
  for (const [part, amount, unit] of text.matchAll(PART)) {
    total += Number(amount) * (UNITS[unit ?? ''] ?? Number.NaN)
    end += part.length
  }
  return end > 0 && end === text.length && Number.isFinite(total) ? total : undefined
}
