import { InvalidArgumentError } from '../errors.ts'
import { expectFunction } from '../runtime/validate.ts'

/** Groups tests: the type of a test runner's `describe`. */
export type DescribeTests = (name: string, body: () => void) => unknown

/** Declares a test: the type of a test runner's `it`. The test passes when the promise that `run` returns resolves. */
export type DeclareTest = (name: string, run: () => Promise<void>) => unknown

interface TestRunner {
  describe: DescribeTests
  it: DeclareTest
}

/** Returns the test runner's function: the one that was passed, or else the global one. */
export function runnerFunction<Name extends keyof TestRunner>(name: Name, passed: TestRunner[Name] | undefined): TestRunner[Name] {
  const found: unknown = passed ?? (globalThis as Record<string, unknown>)[name]
  if (found === undefined) throw new InvalidArgumentError(name, `the test runner's own, since there is no global ${name}: pass { ${name} }`)
  expectFunction(name, found)
  return found as TestRunner[Name]
}
