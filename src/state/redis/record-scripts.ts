import { type Script, script } from './script.ts'

/**
 * KEYS 4, 5: the ended ids; which call claimed this one. ARGV: the caller's time or nothing, the id, how long and how many are remembered, and
 * what this call is called: one that is sent again is still the first. Answers whether it is the first claim.
 */
export const CLAIM_END: Script = script(`
local at, id, retentionMs, max, call = tonumber(nextArg()) or now, nextArg(), tonumber(nextArg()), tonumber(nextArg()), nextArg()
if isLost then return answer(0) end
beat()
local key = KEYS[4]
local endedAt = redis.call('ZSCORE', key, id)
if endedAt and at - math.floor(tonumber(endedAt)) < retentionMs then return answer(redis.call('GET', KEYS[5]) == call and 1 or 0) end
redis.call('SET', KEYS[5], call, 'PX', MINUTE)
-- Those of one millisecond keep their order by fractions.
local newest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2]
redis.call('ZADD', key, (newest and tonumber(newest) >= at) and math.min(tonumber(newest) + 1 / 1024, at + 1 - 1 / 1024) or at, id)
redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. string.format('%.17g', math.floor(at - retentionMs) + 1))
redis.call('ZREMRANGEBYRANK', key, 0, -max - 1)
redis.call('PEXPIRE', key, math.ceil(retentionMs + DAY))
return answer(1)
`)

/** KEYS 4: the ended ids. ARGV: the id. */
export const UNCLAIM_END: Script = script(`
beat()
return answer(redis.call('ZREM', KEYS[4], nextArg()))
`)

/** KEYS 4: the ended ids. ARGV: the caller's time or nothing, how long they are remembered, and ids. Answers 1 for each that is ended, else 0. */
export const ENDED_AMONG: Script = script(`
local at, retentionMs = tonumber(nextArg()) or now, tonumber(nextArg())
beat()
local found = {}
for n = 9, #ARGV do
  local endedAt = redis.call('ZSCORE', KEYS[4], ARGV[n])
  found[#found + 1] = (endedAt and at - math.floor(tonumber(endedAt)) < retentionMs) and 1 or 0
end
return answer(found)
`)

/** KEYS 4: the ended ids. ARGV: the caller's time or nothing, how long and how many are remembered. Answers how many were forgotten. */
export const FORGET_ENDED: Script = script(`
local at, retentionMs, max = tonumber(nextArg()) or now, tonumber(nextArg()), tonumber(nextArg())
beat()
local old = redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', '(' .. string.format('%.17g', math.floor(at - retentionMs) + 1))
return answer(old + redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -max - 1))
`)

/** KEYS 4: the journal. ARGV: the stream, its entry. An entry that its own writer replaces keeps its place in the order. */
export const APPEND: Script = script(`
local id, entry = nextArg(), nextArg()
beat()
local owner, order = string.match(redis.call('HGET', KEYS[4], id) or '', '^(%S+) (%d+) ')
if owner ~= me then order = redis.call('HINCRBY', fleet, 'written', 1) end
redis.call('HSET', KEYS[4], id, me .. ' ' .. order .. ' ' .. entry)
return answer(1)
`)

/** KEYS 4: the journal. ARGV: the channel, the stream. */
export const SETTLE: Script = script(`
local channel, id = nextArg(), nextArg()
beat()
local settled = redis.call('HDEL', KEYS[4], id)
if settled > 0 then tellFreed(channel, id) end
return answer(settled)
`)

/**
 * KEYS 4, 5: the journal; which call of ours took something over last. ARGV: whether to look at every entry, also for such as were handed to us
 * by an answer that was lost, and what this call is called: one that is sent again was such. Hands the entries of members that are dead to us,
 * and removes these; answers the entries in the order in which they were written.
 */
export const RECOVER: Script = script(`
local isThorough, call = nextArg() == '1', nextArg()
if isLost then return answer({}) end
beat()
local dead = redis.call('ZRANGEBYSCORE', members, '-inf', now)
if redis.call('GET', KEYS[5]) == call then isThorough = true end
if #dead > 0 then redis.call('SET', KEYS[5], call, 'PX', MINUTE) end
if #dead == 0 and not isThorough then return answer({}) end
local found = {}
local all = redis.call('HGETALL', KEYS[4])
for i = 1, #all, 2 do
  local owner, order, entry = string.match(all[i + 1], '^(%S+) (%d+) (.*)$')
  local isTaken = not isAlive(owner)
  if isTaken then redis.call('HSET', KEYS[4], all[i], me .. ' ' .. order .. ' ' .. entry) end
  if isTaken or (isThorough and owner == me) then found[#found + 1] = { tonumber(order), entry } end
end
table.sort(found, function(a, b) return a[1] < b[1] end)
for i = 1, #found do found[i] = found[i][2] end
for i = 1, #dead do
  redis.call('ZREM', members, dead[i])
  redis.call('ZREM', awaited, dead[i])
end
if #dead > 0 then bumpVersion() end
return answer(found)
`)
