import { describe, expect, it } from 'vitest'
import { addressOf } from '../../src/state/redis/redis-client.ts'
import { explain, withoutSecrets } from '../../src/state/redis/reply-error.ts'
import { keysOf, nameFrom } from '../../src/state/redis/script.ts'

const place = { address: 'redis:6379', state: undefined, keys: keysOf('stadium') }
const reply = (message: string) => Object.assign(new Error(message), { name: 'ReplyError' })

describe('an error of Redis', () => {
  it.each([
    ['LOADING Redis is loading the dataset in memory'],
    ["READONLY You can't write against a read only replica. script: abc, on @user_script:60."],
    ['MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist to disk.'],
    ['BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.'],
    ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."],
    ['TRYAGAIN Multiple keys request during rehashing of slot'],
    ['CLUSTERDOWN The cluster is down'],
    ['ERR max number of clients reached'],
  ])('gets the reason "unavailable" if it is temporary: %s', (message) => {
    expect(explain(reply(message), place)).toMatchObject({ reason: 'unavailable', message: expect.stringContaining(message) })
  })

  it.each([
    ["NOPERM this user has no permissions to run the 'evalsha' command", /evalsha/],
    ['NOPERM this user has no permissions to access one of the keys used as arguments', /\{acestream:stadium\}:\*/],
    ["ACL failure in script: User proxy has no permissions to run the 'time' command script: abc, on @user_script:1.", /'time'/],
    ['NOAUTH Authentication required.', /password/],
    ['WRONGPASS invalid username-password pair or user is disabled.', /password/],
  ])('gets the reason "unwritable" and names the missing right if it denies access: %s', (message, named) => {
    const explained = explain(reply(message), place)
    expect(explained.reason).toBe('unwritable')
    expect(explained.message).toMatch(named)
    expect(explained.message).not.toContain('is unavailable')
  })

  it('says that Redis 7 is needed if an older server cannot compile the script', () => {
    const message = "ERR Error compiling script (new function): user_script:1: unexpected symbol near '#'"
    expect(explain(reply(message), place)).toMatchObject({ reason: 'unwritable', message: expect.stringContaining('needs Redis 7') })
  })

  it('includes the error of the connection if a call fails because there is no connection', () => {
    const closed = new Error('Connection is closed.')
    expect(explain(closed, { ...place, connectionError: reply('WRONGPASS invalid') })).toMatchObject({ reason: 'unwritable' })
    const refused = new AggregateError([new Error('connect ECONNREFUSED ::1:6379'), new Error('connect ECONNREFUSED 127.0.0.1:6379')])
    expect(explain(closed, { ...place, connectionError: refused }).message).toBe(
      'Redis at redis:6379 is unavailable: Connection is closed. (connect ECONNREFUSED ::1:6379: connect ECONNREFUSED 127.0.0.1:6379)',
    )
    const cluster = Object.assign(new Error('Failed to refresh slots cache.'), { lastNodeError: new Error('connect ETIMEDOUT') })
    expect(explain(cluster, place).message).toContain('Failed to refresh slots cache.: connect ETIMEDOUT')
  })

  it.each([
    ['redis://user:hunter2@redis:6379/0'],
    ['redis://:hunter2@redis'],
    ['rediss://user:hun@ter2/hunter2@redis:6379'],
    ['redis://user:"hunter2 hunter2"@redis'],
    ["redis://user:'hunter2/@hunter2 x'@redis"],
    ['redis://redis:6379?password=hunter2'],
    ['user:hunter2@redis:6379'],
    ["ERR unknown command 'AUTH', with args beginning with: 'proxy' 'hunter2' "],
    ["ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'proxy' 'hunter2'"],
  ])('[I8] shows no password: %s', (text) => {
    const error = Object.assign(new Error(`Invalid: ${text}`), { command: { name: 'auth', args: ['hunter2'] }, input: text })
    const copy = withoutSecrets(error)
    expect(`${copy.message} ${copy.stack} ${JSON.stringify(copy)} ${String(copy.cause)}`).not.toContain('hunter2')
    expect(copy.message).toContain('***')
  })

  it('[I8] shows no password from the options of its client', () => {
    expect(withoutSecrets(new Error('wrong: p w%/ here, p%20w%25%2F there'), ['p w%/']).message).toBe('wrong: *** here, *** there')
  })
})

describe('the address of a Redis', () => {
  it.each<[string, object]>([
    ['redis:6380', { options: { host: 'redis', port: 6380 } }],
    ['localhost:6379', { options: { socket: {} } }],
    ['redis:6380', { options: { url: 'redis://user:hunter2@redis:6380' } }],
    ['/run/redis.sock', { options: { path: '/run/redis.sock' } }],
    ['the cluster', { isCluster: true }],
    // ioredis parses these addresses wrongly.
    ['redis:6379', { options: { path: 'user:hunter2@redis:6379' } }],
    ['user:6379', { options: { host: 'user', port: 'hunter2' } }],
    ['redis:6379', { options: { host: 'hunter2@redis' } }],
  ])('is shown as %s', (address, client) => {
    expect(addressOf(client)).toBe(address)
  })
})

describe('the name of a fleet', () => {
  it.each([
    ['http://orchestrator:8000', 'orchestrator:8000'],
    ['http://orchestrator:8000/v1', 'orchestrator:8000'],
    ['https://example.com/orchestrator', 'example.com/orchestrator'],
    ['http://[::1]', '[::1]'],
  ])('is derived from the base URL %s', (baseUrl, name) => {
    expect(nameFrom(baseUrl)).toBe(name)
  })
})
