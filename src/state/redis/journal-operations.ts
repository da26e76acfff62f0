/** The journal: streams that somebody has to end. */
export const JOURNAL_OPERATIONS = `
local function entryOf(id)
  local value = redis.call('HGET', fleet, 'j:' .. id)
  if not value then return nil end
  local owner, order, length, rest = string.match(value, '^(%S+) (%d+) (%d+):(.*)$')
  if not owner then return { owner = '', order = '0', life = '' } end
  return { owner = owner, order = order, life = string.sub(rest, 1, tonumber(length)) }
end
local function writeEntry(id, order, life, text)
  redis.call('HSET', fleet, 'j:' .. id, me .. ' ' .. order .. ' ' .. #life .. ':' .. life .. text)
end
local function isSameLife(one, other)
  return one == '' or other == '' or one == other
end
-- Whether this very life was ended, and its end was delivered. A claim alone is no reason to drop an entry: its process may have died before it
-- sent the end. Nor is the end of a life that is not known: the stream may have been announced again since.
local function isDelivered(id, life)
  return redis.call('HGET', lives, 'i:' .. id) == '1' .. life
end
-- Writes an entry; one that its own writer replaces keeps its place in the order. Answers 0 where this very life was ended meanwhile, so that the
-- entry is late.
operations.A = function()
  local id, life, isOver, text = nextArg(), nextArg(), nextArg() == '1', nextArg()
  local found = entryOf(id)
  if not found and not isOver and life ~= '' and isDelivered(id, life) then return 0 end
  local isOurs = found and found.owner == me
  writeEntry(id, isOurs and found.order or redis.call('HINCRBY', fleet, '!written', 1), life, text)
  return 1
end
-- Writes an entry that the server may have lost; answers 0 where it is another living member's by now, or another one ended that stream.
operations.R = function()
  local id, life, isOver, text = nextArg(), nextArg(), nextArg() == '1', nextArg()
  local found = entryOf(id)
  if found and found.owner ~= me and isLiving(found.owner) then return 0 end
  if not found and not isOver and isDelivered(id, life) then return 0 end
  writeEntry(id, found and found.order or redis.call('HINCRBY', fleet, '!written', 1), life, text)
  return 1
end
-- Strikes an entry out. One that we wrote: unless another living member has written it anew, for another life. Any other: of the same life.
operations.D = function()
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
-- Takes over an entry, unless it is another living member's by now. Answers it, or nothing.
operations.H = function()
  local id = nextArg()
  local value = redis.call('HGET', fleet, 'j:' .. id)
  local owner, rest = string.match(value or '', '^(%S+)( %d+ %d+:.*)$')
  if not owner or (owner ~= me and isLiving(owner)) then return '' end
  redis.call('HSET', fleet, 'j:' .. id, me .. rest)
  return me .. rest
end
-- Sets aside what is no entry.
operations.Z = function()
  local id = nextArg()
  local value = redis.call('HGET', fleet, 'j:' .. id)
  if value then redis.call('HSET', fleet, '?:' .. id, value) end
  redis.call('HDEL', fleet, 'j:' .. id)
  return 1
end
`
