/**
 * Ended ids. There are two keys, so one may be lost (evicted) without the other. Then both start empty, with a new generation, by which every member
 * sees that it has to report the ends that it knows of: an end sent once more is harmless, one that is held for an earlier life's is lost.
 */
export const END_OPERATIONS = `
local GENERATION = '!'
-- Declared before the view that uses it.
generationOfEnds = function()
  local generation = redis.call('HGET', lives, GENERATION)
  -- Fails on a key of somebody else, which is not to be deleted.
  local count = redis.call('ZCARD', ended)
  if generation and redis.call('HLEN', lives) - 1 == count then return generation end
  -- A DEL that deletes nothing would count as one in the server's statistics, see isVouchedFor.
  if redis.call('EXISTS', lives, ended) > 0 then redis.call('DEL', lives, ended) end
  redis.call('HSET', lives, GENERATION, token)
  return token
end
-- The life's field has a 1 before it once its end was delivered, else a 0.
local function lifeOf(id)
  return string.sub(redis.call('HGET', lives, 'i:' .. id) or '', 2)
end
local function forget(ids)
  -- A command takes a few thousand arguments at most.
  for from = 1, #ids, 1000 do
    local some, fields = {}, {}
    for n = from, math.min(from + 999, #ids) do
      some[#some + 1] = ids[n]
      fields[#fields + 1] = 'i:' .. ids[n]
    end
    redis.call('ZREM', ended, unpack(some))
    redis.call('HDEL', lives, unpack(fields))
  end
  return #ids
end
local function forgetBeyond(at, retentionMs, max)
  local old = redis.call('ZRANGEBYSCORE', ended, '-inf', '(' .. string.format('%.17g', math.floor(at - retentionMs) + 1))
  return forget(old) + forget(redis.call('ZRANGE', ended, 0, -max - 1))
end
-- The caller's time, or nothing for the server's.
local function nextTime()
  local at = nextNumber()
  if at then return at end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function endedAt(id, at, retentionMs)
  local score = redis.call('ZSCORE', ended, id)
  return score and at - math.floor(tonumber(score)) < retentionMs
end
-- Claims an end. Answers whether it is the first claim of this life, and the generation.
operations.C = function()
  local at, id, life, retentionMs, max = nextTime(), nextArg(), nextArg(), nextNumber(), nextNumber()
  local generation = generationOfEnds()
  local known = lifeOf(id)
  local isOther = known ~= '' and life ~= '' and known ~= life
  if endedAt(id, at, retentionMs) and not isOther then return { 0, generation } end
  redis.call('HSET', lives, 'i:' .. id, '0' .. life)
  -- Ends of one millisecond keep their order by fractions.
  local newest = redis.call('ZREVRANGE', ended, 0, 0, 'WITHSCORES')[2]
  redis.call('ZADD', ended, (newest and tonumber(newest) >= at) and math.min(tonumber(newest) + 1 / 1024, at + 1 - 1 / 1024) or at, id)
  forgetBeyond(at, retentionMs, max)
  for _, key in ipairs({ ended, lives }) do keepFor(key, retentionMs + DAY) end
  return { 1, generation }
end
-- Reports ends that were claimed without the server, or that it lost.
operations.T = function()
  local at = nextTime()
  generationOfEnds()
  for _ = 1, nextNumber() do
    local id, claimedAt, isDelivered, life = nextArg(), at - nextNumber(), nextArg(), nextArg()
    local before = redis.call('ZSCORE', ended, id)
    if not before or tonumber(before) < claimedAt then
      redis.call('ZADD', ended, claimedAt, id)
      redis.call('HSET', lives, 'i:' .. id, isDelivered .. life)
    elseif life ~= '' and lifeOf(id) == '' then
      redis.call('HSET', lives, 'i:' .. id, isDelivered .. life)
    end
  end
  return 1
end
-- Takes claims back.
operations.U = function()
  local ids = {}
  for n = 1, nextNumber() do ids[n] = nextArg() end
  return forget(ids)
end
-- Which of these ids are ended: 1 and the life in one text, else nothing.
operations.E = function()
  local at, retentionMs = nextTime(), nextNumber()
  local found = {}
  for n = 1, nextNumber() do
    local id = nextArg()
    found[n] = endedAt(id, at, retentionMs) and '1' .. lifeOf(id) or ''
  end
  return found
end
-- Forgets ended ids beyond the retention. Answers how many.
operations.F = function()
  return forgetBeyond(nextTime(), nextNumber(), nextNumber())
end
`
