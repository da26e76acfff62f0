import { InvalidArgumentError } from '../../errors.ts'
import type { MaybePromise } from '../../runtime/maybe-promise.ts'
import { type DeclareTest, type DescribeTests, runnerFunction } from '../test-runner.ts'

/** A rule that a port (a clock, a cache, a transport) must keep. */
export interface PortRule {
  /** The id of the rule, the same in every release. */
  readonly id: string
  /** The rule as a sentence. */
  readonly text: string
}

/** Options of {@link describeClock}, {@link describeCache} and {@link describeTransport}. */
export interface DescribePortOptions {
  /** The name of the group of tests. @default 'a clock', 'a cache' or 'a transport' */
  readonly name?: string | undefined
  /** The test runner's `describe`. @default the global `describe` */
  readonly describe?: DescribeTests | undefined
  /** The test runner's `it`. @default the global `it` */
  readonly it?: DeclareTest | undefined
}

/** A rule with the code that checks it. */
export interface ProvablePortRule<Subject> extends PortRule {
  /** Rejects if the subject breaks the rule. */
  prove(subject: Subject): Promise<void>
}

/** The subject that a rule checks, and the function that closes it afterwards. */
export interface Opened<Subject> {
  readonly subject: Subject
  readonly close: () => MaybePromise<unknown>
}

/** Declares one test for each rule. Each test opens its own subject and closes it. */
export function declareRules<Subject, Rule extends ProvablePortRule<Subject> = ProvablePortRule<Subject>>(
  { name, describe, it }: DescribePortOptions & { readonly name: string },
  rules: readonly Rule[],
  open: (rule: Rule) => MaybePromise<Opened<Subject>>,
): void {
  const declare = runnerFunction('it', it)
  runnerFunction('describe', describe)(name, () => {
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
 * Returns the object under test, with the port under its name. An object that has a method of the port is taken as the port itself, even if
 * it has a field with the name of the port: a wrapper may keep the wrapped transport in `transport`.
 *
 * @throws {@link InvalidArgumentError} if the factory made neither a port nor an object that holds one
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

/** The published part of the rules: ids and texts. */
export const toRules = (rules: readonly PortRule[]): readonly PortRule[] => rules.map(({ id, text }) => ({ id, text }))
