/** Converts a value from outside to `Output`, or throws a {@link Mismatch}. */
export type Decoder<Output> = (value: unknown) => Output

/** A {@link Decoder} of long values. Its generator yields after each slice, so that other work can go on before the next one. */
export type SlicedDecoder<Output> = (value: unknown) => Generator<undefined, Output>

/** Returns the result of a {@link SlicedDecoder}, without a pause between the slices. */
export function finish<Output>(decoding: Generator<undefined, Output>): Output {
  for (;;) {
    const { done, value } = decoding.next()
    if (done) return value
  }
}

/** An object whose fields are not checked yet. */
export type WireObject = Readonly<Record<string, unknown>>

/** A value that has not the expected type. It never holds the value, which may be a secret. */
export class Mismatch extends Error {
  /** The type that was expected. */
  readonly expected: string
  readonly #path: (string | number)[]

  constructor(expected: string, ...path: (string | number)[]) {
    super()
    this.expected = expected
    this.#path = path
  }

  /** The same mismatch, seen from the value that has the wrong value under `key`. */
  under(key: string | number): this {
    this.#path.unshift(key)
    return this
  }

  /**
   * Names the wrong value by its path: `0.port: expected number`.
   *
   * @param whole name of the value if it is wrong as a whole
   */
  describe(whole: string): string {
    return `${this.#path.length === 0 ? whole : this.#path.join('.')}: expected ${this.expected}`
  }
}

/** Checks that a value is an object. An array is one too. */
export function readObject(value: unknown): WireObject {
  if (typeof value !== 'object' || value === null) throw new Mismatch('Object')
  return value as WireObject
}

/** Checks that a value is an array. */
export function readArray(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw new Mismatch('Array')
  return value
}

/** Checks that a value is a text. */
export function readText(value: unknown): string {
  if (typeof value !== 'string') throw new Mismatch('string')
  return value
}

/** Checks that a value is a text that is not empty. */
export function readId(value: unknown): string {
  if (readText(value) === '') throw new Mismatch('!0')
  return value as string
}

/** Checks that a value is `true` or `false`. */
export function readBoolean(value: unknown): boolean {
  if (typeof value !== 'boolean') throw new Mismatch('boolean')
  return value
}

/** Checks that a value is a number from `min` to `max`. */
export function readNumber(value: unknown, min: number = Number.NEGATIVE_INFINITY, max: number = Number.POSITIVE_INFINITY): number {
  if (typeof value !== 'number' || Number.isNaN(value)) throw new Mismatch('number')
  if (value < min) throw new Mismatch(`>=${min}`)
  if (value > max) throw new Mismatch(`<=${max}`)
  return value
}

/** Reads a whole number, or the text of one. */
export function readWholeNumber(value: unknown): number {
  const number = readNumber(asNumber(value))
  if (!Number.isInteger(number)) throw new Mismatch('integer')
  return number
}

const WHOLE_NUMBER = /^-?\d{1,15}$/

/** Converts a whole number that was written as text. Returns any other value unchanged. */
export function asNumber(value: unknown): unknown {
  return typeof value === 'string' && WHOLE_NUMBER.test(value) ? Number(value) : value
}

/** Reads a field that must exist. */
export function readField<Output>(object: WireObject, key: string, read: Decoder<Output>): Output {
  if (!(key in object)) throw new Mismatch(`"${key}"`, key)
  try {
    return read(object[key])
  } catch (error) {
    throw error instanceof Mismatch ? error.under(key) : error
  }
}

/** Reads a field that may be missing. Then the result is `undefined`. */
export function readFieldIfPresent<Output>(object: WireObject, key: string, read: Decoder<Output>): Output | undefined {
  return key in object ? readField(object, key, read) : undefined
}

/** Reads an array of values of one type. */
export function readArrayOf<Output>(value: unknown, read: Decoder<Output>): Output[] {
  const output: Output[] = []
  // Not `map`, which skips the gaps of an array that a cache returned.
  for (const [index, item] of readArray(value).entries()) {
    try {
      output.push(read(item))
    } catch (error) {
      throw error instanceof Mismatch ? error.under(index) : error
    }
  }
  return output
}

/** Reads a value that is not important: `undefined` if it has another type. */
export function readIfMatching<Output>(value: unknown, read: Decoder<Output>): Output | undefined {
  try {
    return read(value)
  } catch (error) {
    if (error instanceof Mismatch) return undefined
    throw error
  }
}
