import { describe, expect, it } from 'vitest'
import { CALLBACKS, harmOf, MISBEHAVIOURS, NO_HARM } from './callbacks.ts'

describe.each(CALLBACKS.map((callback) => [callback[0], callback] as const))('%s that', (_name, callback) => {
  it.each(MISBEHAVIOURS.map((how) => [how[0], how] as const))('%s harms no more than the call that needed it', async (_how, how) => {
    expect(await harmOf(callback, how)).toEqual(NO_HARM)
  })
})
