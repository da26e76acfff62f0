import { InvalidArgumentError } from '../errors.ts'

/** Loads a module by its name, as `require` does. */
export type ModuleLoader = (name: string) => unknown

const OLDEST_RELEASE = 3

/**
 * Loads msw on the first use. It is an optional peer dependency, and the rest of the test kit works without it. npm accepts any release of
 * it beside this package, so the release is checked here.
 *
 * @throws {@link InvalidArgumentError} if msw is not installed, or is too old
 */
export function loadMsw(load: ModuleLoader): typeof import('msw') {
  const expected = `release ${OLDEST_RELEASE} to be installed (npm install --save-dev msw@${OLDEST_RELEASE})`
  let found: string
  try {
    found = String((load('msw/package.json') as { version?: unknown }).version)
  } catch (cause) {
    throw new InvalidArgumentError('msw', `${expected}; found none`, { cause })
  }
  if (Number.parseInt(found, 10) < OLDEST_RELEASE) throw new InvalidArgumentError('msw', `${expected}; found ${found}`)
  return load('msw') as typeof import('msw')
}
