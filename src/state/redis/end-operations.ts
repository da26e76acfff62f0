/**
 * Lua operations on the journal (the streams that must be ended) and on the ended ids.
 *
 * The ended ids are in two keys, so one of them may be lost (evicted) without the other. Then both start empty with a new generation. Each
 * member sees the new generation and reports the ends that it knows. This is the safe choice: an end that is sent twice is harmless, but an
 * end that is mistaken for the end of an earlier life is never sent.
 */
export const END_OPERATIONS = `
groups[#groups + 1] = function()
local function entryOf(id)
  local value = redis.call('HGET', fleet, 'j:' .. id)
  if not value then return nil end
  local owner, order, length, rest = string.match(value, '^(%S+) (%d+) (%d+):(.*)$')
  if not owner then return { owner = '', order = '0', life = '' } end
  return { owner = owner, order = order, life = string.sub(rest, 1, tonumber(length)) }
end
-- An entry that is replaced keeps its place in the order.
local function write(id, replaced, life, text)
  local order = replaced and replaced.order or redis.call('HINCRBY', fleet, '!written', 1)
  redis.call('HSET', fleet, 'j:' .. id, me .. ' ' .. order .. ' ' .. #life .. ':' .. life .. text)
end
local function isSameLife(one, other)
  return one == '' or other == '' or one == other
end
-- Whether exactly this life was ended, and its end was delivered. A claim is not enough to drop an entry: its process may have died before it
-- sent the end. Nor is the end of an unknown life: the stream may have been announced again since.
local function isDelivered(id, life)
  return redis.call('HGET', lives, 'i:' .. id) == '1' .. life
end
-- writeEntry, stream, life, '1' if the stream is over, text -> 1: written; it replaces an entry of any member.
-- 0: nothing is changed; the entry is late, because exactly this life was ended meanwhile.
operations.writeEntry = function()
  local id, life, isOver, text = nextArg(), nextArg(), nextArg() == '1', nextArg()
  local found = entryOf(id)
  if not found and not isOver and life ~= '' and isDelivered(id, life) then return 0 end
  write(id, found and found.owner == me and found, life, text)
  return 1
end
-- restoreEntry, stream, life, '1' if the stream is over, text -> 1: written.
-- 0: nothing is changed; another living member has the entry, or has ended the stream.
operations.restoreEntry = function()
  local id, life, isOver, text = nextArg(), nextArg(), nextArg() == '1', nextArg()
  local found = entryOf(id)
  if found and found.owner ~= me and isLiving(found.owner) then return 0 end
  if not found and not isOver and isDelivered(id, life) then return 0 end
  write(id, found, life, text)
  return 1
end
-- settleEntry, stream, '1' if the sender wrote the entry, life -> 1. Deletes the entry, and records that this life's end was delivered. The
-- sender's own entry is deleted, unless another living member has written one of another life since. Any other entry must be of the same life.
operations.settleEntry = function()
  local id, wasOurs, life = nextArg(), nextArg() == '1', nextArg()
  local known = redis.call('HGET', lives, 'i:' .. id)
  if known and isSameLife(string.sub(known, 2), life) then redis.call('HSET', lives, 'i:' .. id, '1' .. string.sub(known, 2)) end
  local found = entryOf(id)
  if not found then return 1 end
  local isOurs = found.owner == me or (wasOurs and not isLiving(found.owner))
  local isSame = (wasOurs and life ~= '' and life == found.life) or (not wasOurs and isSameLife(life, found.life))
  if isOurs or isSame then
    redis.call('HDEL', fleet, 'j:' .. id)
    settled[#settled + 1] = id
  end
  return 1
end
-- takeOverEntry, stream -> the entry, which is the sender's from now on.
-- '': nothing is changed; there is no such entry, or another living member has it.
operations.takeOverEntry = function()
  local id = nextArg()
  local value = redis.call('HGET', fleet, 'j:' .. id)
  local owner, rest = string.match(value or '', '^(%S+)( %d+ %d+:.*)$')
  if not owner or (owner ~= me and isLiving(owner)) then return '' end
  redis.call('HSET', fleet, 'j:' .. id, me .. rest)
  return me .. rest
end
-- setAsideEntry, stream -> 1. Renames the field: its value is no entry.
operations.setAsideEntry = function()
  local id = nextArg()
  local value = redis.call('HGET', fleet, 'j:' .. id)
  if value then redis.call('HSET', fleet, '?:' .. id, value) end
  redis.call('HDEL', fleet, 'j:' .. id)
  return 1
end
local GENERATION = '!'
-- The generation of the ended ids. If one of the two keys was lost, both are deleted and a new generation begins.
generationOfEnds = function()
  local generation = redis.call('HGET', lives, GENERATION)
  -- Fails if the key holds another type: then another program wrote it, and it must not be deleted.
  local count = redis.call('ZCARD', ended)
  if generation and redis.call('HLEN', lives) - 1 == count then return generation end
  -- A DEL that deletes nothing would count as one in the server's statistics, see isVouchedFor.
  if redis.call('EXISTS', lives, ended) > 0 then redis.call('DEL', lives, ended) end
  redis.call('HSET', lives, GENERATION, token)
  return token
end
-- The field holds 1 once the end was delivered, otherwise 0, and then the life.
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
-- The member's time, or the server's if the argument is empty, milliseconds.
local function nextTime()
  local at = nextNumber()
  if at then return at end
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function isEnded(id, at, retentionMs)
  local score = redis.call('ZSCORE', ended, id)
  return score and at - math.floor(tonumber(score)) < retentionMs
end
-- claimEnd, time, stream, life, retentionMs, max -> [1: the first claim of this life; 0: claimed before, generation of the ended ids].
operations.claimEnd = function()
  local at, id, life, retentionMs, max = nextTime(), nextArg(), nextArg(), nextNumber(), nextNumber()
  local generation = generationOfEnds()
  if isEnded(id, at, retentionMs) and isSameLife(lifeOf(id), life) then return { 0, generation } end
  redis.call('HSET', lives, 'i:' .. id, '0' .. life)
  -- Ends in the same millisecond keep their order by fractions.
  local newest = redis.call('ZREVRANGE', ended, 0, 0, 'WITHSCORES')[2]
  redis.call('ZADD', ended, (newest and tonumber(newest) >= at) and math.min(tonumber(newest) + 1 / 1024, at + 1 - 1 / 1024) or at, id)
  forgetBeyond(at, retentionMs, max)
  for _, key in ipairs({ ended, lives }) do keepFor(key, retentionMs + DAY) end
  return { 1, generation }
end
-- claimEndWith, the arguments of claimEnd, then those of writeEntry -> as claimEnd. The entry is written if the claim is the first.
operations.claimEndWith = function()
  local answer = operations.claimEnd()
  if answer[1] == 1 then operations.writeEntry() else cursor = cursor + 4 end
  return answer
end
-- reportEnds, time, count, then for each end: stream, its age in milliseconds, '1' if it was delivered or '0', life -> 1.
-- For ends that were claimed while the server did not answer, or that it lost.
operations.reportEnds = function()
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
-- unclaimEnds, count, then so many streams -> how many.
operations.unclaimEnds = function()
  local ids = {}
  for n = 1, nextNumber() do ids[n] = nextArg() end
  return forget(ids)
end
-- endedAmong, time, retentionMs, count, then so many streams -> for each: '1' and its life if it has ended, otherwise ''.
operations.endedAmong = function()
  local at, retentionMs = nextTime(), nextNumber()
  local found = {}
  for n = 1, nextNumber() do
    local id = nextArg()
    found[n] = isEnded(id, at, retentionMs) and '1' .. lifeOf(id) or ''
  end
  return found
end
-- forgetEnded, time, retentionMs, max -> how many ids were deleted.
operations.forgetEnded = function()
  return forgetBeyond(nextTime(), nextNumber(), nextNumber())
end
end
`
