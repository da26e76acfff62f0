/** Longest value in a message, in characters: ids may have 2,048. */
const LONGEST_SHOWN = 400

/** Formats a value. Equal values give equal text: sets, maps and keys are sorted, and a field that is `undefined` is left out. */
function describeValue(value: unknown): string {
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? JSON.stringify(value) : String(value)
  if (Array.isArray(value)) return `[${value.map(describeValue).join(', ')}]`
  if (value instanceof Set) return `set of ${describeValue([...value].sort())}`
  if (value instanceof Map) return `map of ${describeValue([...value].sort())}`
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  const shown = fields.map(([key, field]) => `${key}: ${describeValue(field)}`)
  return `{ ${shown.sort().join(', ')} }`
}

const shorten = (text: string): string => (text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text)

/** Fails the rule. Throws a plain `Error`: the rules run under any test runner, or without one. */
export function fail(message: string): never {
  throw new Error(message)
}

/** @throws an `Error` that names the subject and both values, if they differ */
export function expectSame(subject: string, actual: unknown, expected: unknown): void {
  const [got, wanted] = [describeValue(actual), describeValue(expected)]
  if (got !== wanted) fail(`${subject}: expected ${shorten(wanted)}, got ${shorten(got)}`)
}
