import { describe, expect, it } from 'vitest'
import { jsonLogger } from '../../examples/proxy/log.ts'
import { parseRedisUrl } from '../../examples/proxy/redis-url.ts'
import { openStore } from '../../examples/proxy/store.ts'

const LONGEST = 'a'.repeat(200)

describe('ACEXY_STORE', () => {
  it.each([
    ['redis://host', 'redis://host', undefined],
    ['redis://host:6379/0?name=my-orchestrator', 'redis://host:6379/0', 'my-orchestrator'],
    ['redis://host?name=a', 'redis://host', 'a'],
    ['redis://host/?name=two%20words%40home', 'redis://host/', 'two words@home'],
    [`redis://host?name=${LONGEST}`, 'redis://host', LONGEST],
    ['rediss://user:pass@host:6380/15?name=a', 'rediss://user:pass@host:6380/15', 'a'],
    ['REDISS://:pass@host', 'rediss://:pass@host', undefined],
    ['redis://user:p%2Fa%3Fs%23s@host', 'redis://user:p%2Fa%3Fs%23s@host', undefined],
    ['redis://[::1]:6379/1?name=a', 'redis://[::1]:6379/1', 'a'],
    ['redis://user:pass@[fd00::2]', 'redis://user:pass@[fd00::2]', undefined],
  ])('of %s is passed to ioredis as %s, with the fleet name %s', (value, url, name) => {
    expect(parseRedisUrl('ACEXY_STORE', value)).toEqual({ url, name })
  })

  it.each(['family', 'password', 'db', 'Name'])(
    'with the parameter %s is rejected: the error names the parameter and not its value',
    (parameter) => {
      const parse = () => parseRedisUrl('ACEXY_STORE', `redis://host?name=a&${parameter}=value`)
      expect(parse).toThrow(`ACEXY_STORE: expected no parameter but ?name=, the name of the fleet; not ${parameter}`)
      expect(parse).not.toThrow('value')
    },
  )

  it.each(['name=', 'name=a&name=b', `name=${LONGEST}a`])(
    'with ?%s is rejected: exactly one name of 1 to 200 characters is allowed',
    (search) => {
      expect(() => parseRedisUrl('ACEXY_STORE', `redis://host?${search}`)).toThrow(
        'ACEXY_STORE: expected one ?name= of 1 to 200 characters',
      )
    },
  )

  it.each(['redis://user:pa/ss@host', 'redis://user:1#ss@host', 'redis://:100%@host'])(
    'of %s is rejected with advice to percent-encode the password',
    (value) => {
      expect(() => parseRedisUrl('ACEXY_STORE', value)).toThrow('percent-encode / ? # @ and % in a user or a password')
    },
  )
})

describe('ACEXY_STORE_TTL', () => {
  it.each(['15', '0s', '500ms', '2h', 'soon'])('of %s is rejected with the expected format, even if no store uses it', async (value) => {
    const opening = openStore(
      { ACEXY_STORE_TTL: value },
      jsonLogger('error', () => {}),
    )
    await expect(opening).rejects.toThrow('ACEXY_STORE_TTL: expected a duration with its unit, from 1s to 1h, such as 15s')
  })
})
