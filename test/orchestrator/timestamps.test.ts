import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { parseNanoseconds, toMilliseconds } from '../../src/orchestrator/timestamps.ts'

const WHOLE = BigInt(Date.UTC(2026, 10, 23, 22, 7, 1)) * 1_000_000n

describe('a time of an orchestrator', () => {
  test.each<[string, bigint]>([
    ['2026-11-23T22:07:01.317932159Z', WHOLE + 317_932_159n],
    ['2026-11-23T22:07:01.31793215Z', WHOLE + 317_932_150n],
    ['2026-11-23T22:07:01.3Z', WHOLE + 300_000_000n],
    ['2026-11-23T22:07:01Z', WHOLE],
    ['2026-11-24T00:07:01.000000001+02:00', WHOLE + 1n],
    ['2026-11-23T17:37:01.5-04:30', WHOLE + 500_000_000n],
    ['2026-11-23T22:07:01.000693', WHOLE + 693_000n],
    ['2026-11-23T22:07:01.3179321599Z', WHOLE + 317_932_159n],
  ])('is read to the nanosecond: %s', (text, expected) => {
    expect(parseNanoseconds(text)).toBe(expected)
  })

  test.each([
    undefined,
    null,
    0,
    1_795_471_621,
    '',
    'now',
    '0001-01-01T00:00:00Z',
    '2026-11-23',
    '2026-13-23T22:07:01Z',
    '2026-11-23T22:07:01.Z',
    'Mon.5',
  ])('is unknown if the answer has %j', (value) => {
    expect(parseNanoseconds(value)).toBeUndefined()
  })

  it('keeps a difference of 1 ns to another time, for any zone in which Go writes the two', () => {
    const goTime = (at: bigint, zoneHours: number): string => {
      const local = new Date(Number(at / 1_000_000n) + zoneHours * 3_600_000).toISOString().slice(0, 19)
      const fraction = (at % 1_000_000_000n).toString().padStart(9, '0').replace(/0+$/, '')
      const zone = zoneHours === 0 ? 'Z' : `${zoneHours < 0 ? '-' : '+'}${String(Math.abs(zoneHours)).padStart(2, '0')}:00`
      return `${local}${fraction === '' ? '' : `.${fraction}`}${zone}`
    }
    const time = fc.bigInt({ min: WHOLE, max: WHOLE + 10n ** 13n })
    const zone = fc.integer({ min: -11, max: 12 })
    fc.assert(
      fc.property(time, zone, zone, (at, one, other) => {
        const [first = 0n, second = 0n] = [parseNanoseconds(goTime(at, one)), parseNanoseconds(goTime(at + 1n, other))]
        expect(second - first).toBe(1n)
      }),
      { seed: 20_251_124 },
    )
  })

  it('is rounded down to milliseconds', () => {
    expect(toMilliseconds(1_999_999n)).toBe(1)
  })
})
