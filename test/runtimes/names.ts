/** The Node that runs the tests. It is tested only if it is named. */
export const CURRENT = 'current'
/** Runtimes on which the package runs. The first is the oldest release that `engines` of the package allows. */
export const SUPPORTED: readonly string[] = ['node-22-13', 'node-22', 'node-24', 'node-26', 'bun', 'deno', CURRENT]
/** Runtimes on which an import fails with one sentence. */
const TOO_OLD: readonly string[] = ['node-20', 'node-18']
/** What can be chosen. */
export const NAMES: readonly string[] = [...SUPPORTED, ...TOO_OLD]

/** The environment variable with the names of the runtimes to test, separated by commas. */
export const VARIABLE = 'RUNTIMES'

const named = (process.env[VARIABLE] ?? '').split(',').filter((name) => name !== '')

/** The runtimes that this run tests: those that {@link VARIABLE} names, or all that can be installed. */
export const chosen: readonly string[] = named.length > 0 ? named : NAMES.filter((name) => name !== CURRENT)
export const chosenSupported: readonly string[] = SUPPORTED.filter((name) => chosen.includes(name))
export const chosenTooOld: readonly string[] = TOO_OLD.filter((name) => chosen.includes(name))
