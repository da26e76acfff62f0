/** A validation error in pydantic's format. */
export interface ValidationIssue {
  type: string
  loc: readonly (string | number)[]
  msg: string
  input: unknown
  ctx?: Readonly<Record<string, unknown>>
}

type Path = readonly (string | number)[]
/** Checks a value, adds its errors to `issues`, and returns the value as pydantic would convert it. */
export type Check<T> = (value: unknown, loc: Path, issues: ValidationIssue[]) => T

/** A field of a model: its check, and its value if it is missing. A field without `fallback` is required. */
export interface Field<T> {
  check: Check<T>
  fallback?: T
}

/** Accepts a string. No other type is converted. */
export const text: Check<string> = (value, loc, issues) => {
  if (typeof value === 'string') return value
  issues.push({ type: 'string_type', loc, msg: 'Input should be a valid string', input: value })
  return ''
}

/** Accepts null, or a value that the other check accepts. */
export const nullable =
  <T>(check: Check<T>): Check<T | null> =>
  (value, loc, issues) =>
    value === null ? null : check(value, loc, issues)

const WHOLE_NUMBER = 'Input should be a valid integer'

/** Accepts a whole number, and values that pydantic converts to one: `"19000"`, `true`. */
export const integer: Check<number> = (value, loc, issues) => {
  const reject = (type: string, msg: string): number => {
    issues.push({ type, loc, msg, input: value })
    return 0
  }
  if (typeof value === 'boolean') return value ? 1 : 0
  if (typeof value === 'number') {
    return Number.isInteger(value) ? value : reject('int_from_float', `${WHOLE_NUMBER}, got a number with a fractional part`)
  }
  if (typeof value !== 'string') return reject('int_type', WHOLE_NUMBER)
  if (/^\s*[+-]?\d+(?:\.0*)?\s*$/.test(value)) return Number(value)
  return reject('int_parsing', `${WHOLE_NUMBER}, unable to parse string as an integer`)
}

/** Accepts exactly these words. */
export const literal = (words: readonly string[]): Check<string> => {
  const quoted = words.map((word) => `'${word}'`)
  const expected = `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`
  return (value, loc, issues) => {
    if (typeof value === 'string' && words.includes(value)) return value
    issues.push({ type: 'literal_error', loc, msg: `Input should be ${expected}`, input: value, ctx: { expected } })
    return ''
  }
}

/** Accepts an absolute http or https URL, and normalises it as pydantic does: lower-case host, no default port, a path. */
export const httpUrl: Check<string> = (value, loc, issues) => {
  if (typeof value !== 'string') {
    issues.push({ type: 'url_type', loc, msg: 'URL input should be a string or URL', input: value })
    return ''
  }
  const url = URL.parse(value)
  if (url === null) {
    const error = value.trim() === '' ? 'input is empty' : /^https?:/i.test(value) ? 'empty host' : 'relative URL without a base'
    issues.push({ type: 'url_parsing', loc, msg: `Input should be a valid URL, ${error}`, input: value, ctx: { error } })
    return ''
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    const schemes = "'http' or 'https'"
    issues.push({ type: 'url_scheme', loc, msg: `URL scheme should be ${schemes}`, input: value, ctx: { expected_schemes: schemes } })
  }
  return url.href
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value)

/** Accepts an object whose values are strings. */
export const labels: Check<Record<string, string>> = (value, loc, issues) => {
  if (!isRecord(value)) {
    issues.push({ type: 'dict_type', loc, msg: 'Input should be a valid dictionary', input: value })
    return {}
  }
  for (const [name, label] of Object.entries(value)) text(label, [...loc, name], issues)
  return value as Record<string, string>
}

/** Accepts an object with these fields. Further fields are ignored. */
export const model =
  <T extends Record<string, unknown>>(fields: { [K in keyof T]: Field<T[K]> }): Check<T> =>
  (value, loc, issues) => {
    const result: Record<string, unknown> = {}
    if (!isRecord(value)) {
      const msg = 'Input should be a valid dictionary or object to extract fields from'
      issues.push({ type: 'model_attributes_type', loc, msg, input: value })
      return result as T
    }
    for (const [name, field] of Object.entries<Field<unknown>>(fields)) {
      if (Object.hasOwn(value, name)) result[name] = field.check(value[name], [...loc, name], issues)
      else if ('fallback' in field) result[name] = field.fallback
      else issues.push({ type: 'missing', loc: [...loc, name], msg: 'Field required', input: value })
    }
    return result as T
  }
