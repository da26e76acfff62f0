import { InvalidArgumentError } from '../../errors.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { expectFunction } from '../../runtime/validate.ts'
import type { DeclareTest, DescribeTests } from '../state-store/describe.ts'

/** What a contract says of a port. */
export interface PortRule {
  /** Names the rule, the same in every release. */
  readonly id: string
  /** What the port must do, a sentence. */
  readonly text: string
}

/** The test runner's functions, and what the group of tests is called. */
export interface DescribePortOptions {
  /** What the group of tests is called. @default the port's name */
  readonly name?: string | undefined
  /** The test runner's. @default the global of that name */
  readonly describe?: DescribeTests | undefined
  /** The test runner's. @default the global of that name */
  readonly it?: DeclareTest | undefined
}

/** A rule that can be tried on a subject. */
export interface ProvablePortRule<Subject> extends PortRule {
  /** Rejects where the rule is broken. */
  prove(subject: Subject): Promise<void>
}

/** What is tried, and how it is closed afterwards. */
export interface Opened<Subject> {
  readonly subject: Subject
  readonly close: () => MaybePromise<unknown>
}

/** Declares one test for each rule; each opens a subject of its own and closes it. */
export function declareRules<Subject, Rule extends ProvablePortRule<Subject> = ProvablePortRule<Subject>>(
  { name, describe, it }: DescribePortOptions & { readonly name: string },
  rules: readonly Rule[],
  open: (rule: Rule) => MaybePromise<Opened<Subject>>,
): void {
  const declare = runnersOwn('it', it)
  runnersOwn('describe', describe)(name, () => {
    for (const rule of rules) {
      declare(`${rule.id} ${rule.text}`, async () => {
        const { subject, close } = await open(rule)
        try {
          await rule.prove(subject)
        } finally {
          await close()
        }
      })
    }
  })
}

/**
 * The port to prove, under its name. An object that has a method of the port is the port itself: its other fields are its own business, also
 * a field that is called as the port is (a wrapper's `transport`).
 *
 * @throws {@link InvalidArgumentError} where the factory made neither a port nor an object that holds one
 */
export function toUnderTest<UnderTest extends object>(
  name: keyof UnderTest & string,
  methods: readonly string[],
  made: UnderTest[keyof UnderTest] | UnderTest,
): UnderTest {
  const isPort = (value: unknown): boolean => methods.some((method) => hasMethod(value, method))
  const underTest = isPort(made) ? { [name]: made } : made
  const port: unknown = (underTest as UnderTest | null | undefined)?.[name]
  const missing = methods.filter((method) => !hasMethod(port, method))
  if (missing.length === 0) return underTest as UnderTest
  const lack = isPort(port) ? `this ${name} has no method ${missing.join(', ')}` : `an object with ${methods.join(', ')}`
  throw new InvalidArgumentError('factory', `a function that returns a ${name}, or { ${name} }: ${lack}`)
}

const hasMethod = (value: unknown, method: string): boolean =>
  typeof (value as Readonly<Record<string, unknown>> | null | undefined)?.[method] === 'function'

/** The names and texts of rules, for people. */
export const toRules = (rules: readonly PortRule[]): readonly PortRule[] => rules.map(({ id, text }) => ({ id, text }))

/** The test runner's function: the one that was passed, or the global one. */
export function runnersOwn<Name extends 'describe' | 'it'>(
  name: Name,
  passed: DescribePortOptions[Name],
): NonNullable<DescribePortOptions[Name]> {
  const found: unknown = passed ?? (globalThis as Record<string, unknown>)[name]
  if (found === undefined) throw new InvalidArgumentError(name, `the test runner's own, since there is no global ${name}: pass { ${name} }`)
  expectFunction(name, found)
  return found as NonNullable<DescribePortOptions[Name]>
}
