import { InvalidArgumentError } from '../../errors.ts'

/** One of these words. */
export function expectOneOf<Word extends string>(name: string, value: Word, words: readonly Word[]): Word {
  if (!words.includes(value)) throw new InvalidArgumentError(name, words.map((word) => `'${word}'`).join(' or '))
  return value
}
