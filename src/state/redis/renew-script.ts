import { type Script, script } from './script.ts'

/**
 * Compares what we hold and have written with what is there, and makes the two meet. What is under way meanwhile (busy) is left alone.
 *
 * KEYS 4: the journal; 5, 6: the ended ids and their lives; 7…: engines on which we hold or may have left something.
 * ARGV: the channel; then lists, each with its length first: peers known; busy fields; per engine the leases held (id, milliseconds left,
 * whether it was never written) and the streams; journal entries (id, what to write or nothing); ids settled; ends claimed (id, how long
 * ago, milliseconds, its life or nothing); ends unclaimed.
 *
 * Answers whether the state was lost, the places of journal entries that are missing, and of those that are others' by now. A lease that
 * is missing has run out there, and its slot may be another's, unless the state was lost or it was never written.
 */
export const RENEW: Script = script(`
local channel = nextArg()
local journal, ended, lives = KEYS[4], KEYS[5], KEYS[6]
local wasLost = isLost
local isFirst = isLost and (not epoch or epoch == knownEpoch)
if isFirst then
  newEpoch()
  if seq < knownSeq then redis.call('HSET', fleet, 'seq', knownSeq) seq = knownSeq end
  for _, peer in ipairs(redis.call('ZRANGEBYSCORE', members, '(' .. string.format('%.17g', now), '+inf')) do
    if peer ~= me then redis.call('ZADD', awaited, now + ttl, peer) end
  end
end
for _ = 1, tonumber(nextArg()) do
  local peer = nextArg()
  if wasLost and peer ~= me and (isFirst or not redis.call('ZSCORE', members, peer)) then redis.call('ZADD', awaited, now + ttl, peer) end
end
isLost = false
beat()
redis.call('ZREMRANGEBYSCORE', awaited, '-inf', now)
local freed = redis.call('ZREM', awaited, me) == 1 and redis.call('EXISTS', awaited) == 0
local busy = {}
for _ = 1, tonumber(nextArg()) do busy[nextArg()] = true end
for n = 7, #KEYS do
  local key = KEYS[n]
  local there, held = {}, {}
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do there[fields[i]] = fields[i + 1] end
  for _ = 1, tonumber(nextArg()) do
    local field, left, isUnwritten = 'l:' .. nextArg(), tonumber(nextArg()), nextArg() == '1'
    held[field] = true
    if not there[field] and (wasLost or isUnwritten) and left > 0 then
      redis.call('HSET', key, field, string.format('%.17g', now + left) .. ' ' .. me)
    end
  end
  for _ = 1, tonumber(nextArg()) do
    local field = 's:' .. nextArg()
    held[field] = true
    local owner = there[field]
    if not owner or (owner ~= me and not isAlive(owner)) then redis.call('HSET', key, field, me) end
  end
  for field, value in pairs(there) do
    if not held[field] and not busy[field] and ownerOf(field, value) == me then
      redis.call('HDEL', key, field)
      freed = true
    end
  end
  redis.call('PEXPIRE', key, DAY)
end
local missing, foreign = {}, {}
for place = 0, tonumber(nextArg()) - 1 do
  local id, entry = nextArg(), nextArg()
  local owner, order = string.match(redis.call('HGET', journal, id) or '', '^(%S+) (%d+) ')
  if owner and owner ~= me then
    foreign[#foreign + 1] = place
  elseif entry ~= '' then
    redis.call('HSET', journal, id, me .. ' ' .. (order or redis.call('HINCRBY', fleet, 'written', 1)) .. ' ' .. entry)
  elseif not owner then
    missing[#missing + 1] = place
  end
end
for _ = 1, tonumber(nextArg()) do
  local id = nextArg()
  if string.match(redis.call('HGET', journal, id) or '', '^(%S+) ') == me then redis.call('HDEL', journal, id) end
end
for _ = 1, tonumber(nextArg()) do
  local id, ageMs, life = nextArg(), tonumber(nextArg()), nextArg()
  local isNewest = redis.call('ZADD', ended, 'GT', 'CH', now - ageMs, id) == 1
  if isNewest and life ~= '' then redis.call('HSET', lives, id, life) end
end
for _ = 1, tonumber(nextArg()) do
  local id = nextArg()
  redis.call('ZREM', ended, id)
  redis.call('HDEL', lives, id)
end
for _, key in ipairs({ fleet, members, awaited, journal, ended, lives }) do redis.call('PEXPIRE', key, 30 * DAY) end
if freed then tellFreed(channel) end
return answer({ wasLost and 1 or 0, missing, foreign })
`)
