import { type Script, script } from './script.ts'

/** Forgets ended ids and their lives. `#ids` may be many: a command takes a few thousand arguments at most. */
const FORGET = `
local function forget(ended, lives, ids)
  for from = 1, #ids, 1000 do
    local some = {}
    for n = from, math.min(from + 999, #ids) do some[#some + 1] = ids[n] end
    redis.call('ZREM', ended, unpack(some))
    redis.call('HDEL', lives, unpack(some))
  end
  return #ids
end
local function forgetBeyond(ended, lives, at, retentionMs, max)
  local old = redis.call('ZRANGEBYSCORE', ended, '-inf', '(' .. string.format('%.17g', math.floor(at - retentionMs) + 1))
  local count = forget(ended, lives, old)
  return count + forget(ended, lives, redis.call('ZRANGE', ended, 0, -max - 1))
end
`

/**
 * KEYS 4, 5, 6: the ended ids; which call claimed this one; the lives of the ended ids. ARGV: the caller's time or nothing, the id, its life or
 * nothing, how long and how many are remembered, and what this call is called: one that is sent again is still the first. Answers whether it
 * is the first claim of this life.
 */
export const CLAIM_END: Script = script(`${FORGET}
local at, id, life, retentionMs, max, call = tonumber(nextArg()) or now, nextArg(), nextArg(), tonumber(nextArg()), tonumber(nextArg()), nextArg()
if isLost then return answer(0) end
beat()
local key, lives = KEYS[4], KEYS[6]
local endedAt = redis.call('ZSCORE', key, id)
local known = redis.call('HGET', lives, id) or ''
local isOther = known ~= '' and life ~= '' and known ~= life
if endedAt and not isOther and at - math.floor(tonumber(endedAt)) < retentionMs then
  return answer(redis.call('GET', KEYS[5]) == call and 1 or 0)
end
redis.call('SET', KEYS[5], call, 'PX', MINUTE)
if life ~= '' then redis.call('HSET', lives, id, life) else redis.call('HDEL', lives, id) end
-- Those of one millisecond keep their order by fractions.
local newest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')[2]
redis.call('ZADD', key, (newest and tonumber(newest) >= at) and math.min(tonumber(newest) + 1 / 1024, at + 1 - 1 / 1024) or at, id)
forgetBeyond(key, lives, at, retentionMs, max)
redis.call('PEXPIRE', key, math.ceil(retentionMs + DAY))
redis.call('PEXPIRE', lives, math.ceil(retentionMs + DAY))
return answer(1)
`)

/** KEYS 4, 5: the ended ids and their lives. ARGV: the id. */
export const UNCLAIM_END: Script = script(`
local id = nextArg()
beat()
redis.call('HDEL', KEYS[5], id)
return answer(redis.call('ZREM', KEYS[4], id))
`)

/**
 * KEYS 4, 5: the ended ids and their lives. ARGV: the caller's time or nothing, how long they are remembered, and ids. Answers for each that is
 * ended 1 and its life in one text, else nothing.
 */
export const ENDED_AMONG: Script = script(`
local at, retentionMs = tonumber(nextArg()) or now, tonumber(nextArg())
beat()
local found = {}
for n = 9, #ARGV do
  local endedAt = redis.call('ZSCORE', KEYS[4], ARGV[n])
  local isEnded = endedAt and at - math.floor(tonumber(endedAt)) < retentionMs
  found[#found + 1] = isEnded and '1' .. (redis.call('HGET', KEYS[5], ARGV[n]) or '') or ''
end
return answer(found)
`)

/** KEYS 4, 5: the ended ids and their lives. ARGV: the caller's time or nothing, how long and how many are remembered. Answers how many were forgotten. */
export const FORGET_ENDED: Script = script(`${FORGET}
local at, retentionMs, max = tonumber(nextArg()) or now, tonumber(nextArg()), tonumber(nextArg())
beat()
return answer(forgetBeyond(KEYS[4], KEYS[5], at, retentionMs, max))
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
