/** As much of a value as a message shows: ids may be 2,048 characters long. */
const LONGEST_SHOWN = 400

/** A value as text, the same for the same value: sets and keys are sorted, and a field that is `undefined` is as good as absent. */
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

/** What breaks a rule. Plain errors: the suite runs under any test runner, or none. */
export function fail(what: string): never {
  throw new Error(what)
}

/** @throws where the two differ, as text that says what was looked at */
export function expectSame(what: string, actual: unknown, expected: unknown): void {
  const [got, wanted] = [describeValue(actual), describeValue(expected)]
  if (got !== wanted) fail(`${what}: expected ${shorten(wanted)}, got ${shorten(got)}`)
}
