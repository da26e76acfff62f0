/** A longer chain of causes is probably a cycle. */
const MAX_CHAIN = 8

/** Sets a field of an error, although the field is read-only. `isShown`: whether a new field is enumerable. */
export function setErrorField(error: object, field: string, value: unknown, isShown = false): void {
  const enumerable = Object.getOwnPropertyDescriptor(error, field)?.enumerable ?? isShown
  Reflect.defineProperty(error, field, { value, enumerable, configurable: true, writable: true })
}

/** The error, its cause, the cause of that, and so on. */
export function listCauses(error: unknown): unknown[] {
  const chain: unknown[] = []
  for (let next = error; next !== undefined && next !== null && chain.length < MAX_CHAIN; next = readField(next, 'cause')) {
    chain.push(next)
  }
  return chain
}

/**
 * The error and its causes. Node tries each address of a host: these attempts come before the error that has them, and first of all a refused one,
 * which has reached the host.
 */
export function listFailures(error: unknown): unknown[] {
  return listCauses(error).flatMap((link) => {
    const attempts = readField(link, 'errors')
    if (!Array.isArray(attempts)) return [link]
    return [...attempts.filter(isRefused), ...attempts.filter((attempt) => !isRefused(attempt)), link]
  })
}

function isRefused(error: unknown): boolean {
  return readText(error, 'code') === 'ECONNREFUSED'
}

/** A field of an unknown value, if it is a text; an empty text otherwise. */
export function readText(value: unknown, key: string): string {
  const found = readField(value, key)
  return typeof found === 'string' ? found : ''
}

/** A field of an unknown value; `undefined` if its getter throws. */
export function readField(value: unknown, key: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  try {
    return Reflect.get(value, key)
  } catch {
    return undefined
  }
}
