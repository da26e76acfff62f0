import { createHash } from 'node:crypto'

/** A Lua script and the name by which a server that has seen it runs it. */
export interface Script {
  readonly text: string
  readonly sha: string
}

/**
 * What every script begins with: who asks and what time it is, whether the asker still knows the state it left, and who lives.
 *
 * KEYS 1-3: the fleet, its members, and members awaited. ARGV 1-6: the instance, how long its heartbeat lasts, the time to go by (empty: the
 * server's), and the epoch, the sequence and the version it has seen.
 *
 * A server may lose what it knew: restarted without a copy, or failed over to a replica that lags. Slots that members hold are unknown
 * to it then, and it would give them out twice. So whoever sees that the epoch is another one, or the sequence a lower one, says so by a
 * renewal, which awaits all members that were known, and nothing is given out until they have put back what they hold, or are dead.
 */
const PRELUDE = `
local fleet, members, awaited = KEYS[1], KEYS[2], KEYS[3]
local me, ttl, knownEpoch, knownSeq, knownVersion = ARGV[1], tonumber(ARGV[2]), ARGV[4], tonumber(ARGV[5]), ARGV[6]
local MINUTE, DAY = 60000, 86400000
local cursor = 6
local function nextArg()
  cursor = cursor + 1
  return ARGV[cursor]
end
local time = redis.call('TIME')
local now = tonumber(ARGV[3]) or time[1] * 1000 + math.floor(time[2] / 1000)
local state = redis.call('HMGET', fleet, 'epoch', 'seq', 'version')
local epoch, seq, version = state[1], tonumber(state[2] or 0), state[3] or '0'
local heartbeat = redis.call('ZSCORE', members, me)
local isLost = knownEpoch ~= '' and (epoch ~= knownEpoch or seq < knownSeq)
local owners = {}
local function isAlive(owner)
  if owners[owner] == nil then
    local untilWhen = redis.call('ZSCORE', members, owner)
    owners[owner] = (untilWhen and tonumber(untilWhen) > now) or false
  end
  return owners[owner]
end
local function newEpoch()
  epoch = me .. '.' .. time[1] .. '.' .. time[2]
  redis.call('HSET', fleet, 'epoch', epoch)
end
local function bumpVersion()
  version = tostring(redis.call('HINCRBY', fleet, 'version', 1))
end
local function beat()
  if isLost then return end
  if not epoch then newEpoch() end
  redis.call('ZADD', members, 'GT', now + ttl, me)
  owners[me] = nil
  if not heartbeat then bumpVersion() end
end
local function ownerOf(field, value)
  return string.sub(field, 1, 2) == 'l:' and string.match(value, ' (.*)$') or value
end
local function dueOf(value)
  return tonumber(string.match(value, '^%S+'))
end
-- A user of Redis may be allowed everything but to publish: then the others look by themselves.
local function tellFreed(channel, settledId)
  redis.pcall('PUBLISH', channel, settledId and me .. ' ' .. settledId or me)
end
local function answer(body)
  local peers = false
  if version ~= knownVersion or epoch ~= knownEpoch then
    peers = redis.call('ZRANGEBYSCORE', members, '(' .. string.format('%.17g', now), '+inf')
  end
  local wasAlive = heartbeat and tonumber(heartbeat) > now
  return { epoch or '', seq, version, wasAlive and 1 or 0, isLost and 1 or 0, peers, body }
end
`

/** Makes a script of what follows the prelude. */
export function script(body: string): Script {
  const text = `${PRELUDE}${body}`
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}
