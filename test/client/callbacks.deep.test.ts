import { describe, expect, it } from 'vitest'
import { CALLBACKS, harmOf, MISBEHAVIOURS, NO_HARM } from './callbacks.ts'

describe.each(CALLBACKS.map((callback) => [callback[0], callback] as const))('the callback %s', (_name, callback) => {
  it.each(MISBEHAVIOURS.map((how) => [how[0], how] as const))(
    'that %s causes only known errors, and leaves no timer, lease or stream',
    async (_how, how) => {
      expect(await harmOf(callback, how)).toEqual(NO_HARM)
    },
  )
})
