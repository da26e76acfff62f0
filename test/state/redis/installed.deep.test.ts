import { expect, it } from 'vitest'
import { isRedisMissing } from '../../support/redis-server.ts'

it('the tests of the Redis store find a redis-server or a valkey-server (apt-get install redis-server)', () => {
  expect(isRedisMissing).toBe(false)
})
