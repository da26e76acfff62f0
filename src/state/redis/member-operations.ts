/**
 * Members of a fleet.
 *
 * A server process that starts may have lost the last writes, or all of them (no copy on the disk, a replica that lagged), and slots that
 * members hold would be given out twice. So the state remembers the process it was used on (\`run_id\`), and from a new one on no slot is given
 * out until every member had a whole \`slotTtlMs\` to report what it holds: that is the opening. An empty state is opened at once only where the
 * server can show that nothing was there for that long: it runs for longer, and nobody deleted anything on it.
 *
 * A member is dead when another one has seen no new batch of it for a whole \`slotTtlMs\`, by its own clock. It buries the dead: step by step,
 * since the state may be large.
 */
export const MEMBER_OPERATIONS = `
local function members()
  local ids = {}
  for id in string.gmatch(redis.call('HGET', fleet, '!members') or '', '%S+') do ids[#ids + 1] = id end
  return ids
end
local function removeMember(member)
  local left = {}
  for _, id in ipairs(members()) do if id ~= member then left[#left + 1] = id end end
  redis.call('HSET', fleet, '!members', table.concat(left, ' '))
  redis.call('HDEL', fleet, 'm:' .. member, 'a:' .. member)
end
local function infoOf(section)
  return redis.call('INFO', section)
end
-- For how long the server has surely lost nothing of this state, milliseconds.
local function vouchedMs()
  if not isServerTime then return 0 end
  local server, commands = infoOf('server'), infoOf('commandstats')
  if not string.find(server, 'redis_mode:standalone', 1, true) then return 0 end
  local suspects = 'flushall flushdb swapdb del unlink rename renamenx move migrate restore replicaof slaveof config|resetstat'
  for command in string.gmatch(suspects, '%S+') do
    if string.find(commands, 'cmdstat_' .. command .. ':', 1, true) then return 0 end
  end
  if not string.find(infoOf('stats'), 'evicted_keys:0\\r', 1, true) then return 0 end
  local replication = infoOf('replication')
  if not string.find(replication, 'role:master', 1, true) then return 0 end
  if not string.find(replication, 'master_replid2:0000000000', 1, true) then return 0 end
  return (tonumber(string.match(server, 'uptime_in_seconds:(%d+)')) - 1) * 1000
end
local hasLooked = false
local function lookAtServer()
  if hasLooked then return end
  hasLooked = true
  local current = string.match(infoOf('server'), 'run_id:(%w+)')
  if run == current or (birth == '' and not isJoining) then return end
  if birth == '' then
    birth = token
    redis.call('HSET', fleet, '!birth', birth)
    local isKnownLoss = predecessor ~= '-' or redis.call('EXISTS', ended, lives) > 0
    if isKnownLoss or vouchedMs() < ttlMs then beginOpening() end
  else
    beginOpening()
  end
  redis.call('HSET', fleet, '!run', current)
end
local hasLeft = false
local function join()
  lookAtServer()
  if record then return end
  local ids = members()
  ids[#ids + 1] = me
  redis.call('HSET', fleet, '!members', table.concat(ids, ' '))
  if predecessor ~= '-' and isLiving(predecessor) then redis.call('HSET', fleet, 'm:' .. predecessor, 'x') end
end
-- What a newcomer needs to know of the server: under which key it keeps the state, and what it does when it is full.
operations.I = function()
  return { fleet, string.match(infoOf('memory'), 'maxmemory_policy:([%w-]+)') or '' }
end
-- The others: what is being opened and for how long the server vouches, the generation of the ended ids, then each member and its last batch.
operations.V = function()
  lookAtServer()
  local view = { opening or '', opening and vouchedMs() or 0, generationOfEnds() }
  for _, id in ipairs(members()) do
    if id ~= me then
      view[#view + 1] = id
      view[#view + 1] = redis.call('HGET', fleet, 'm:' .. id) or 'x'
    end
  end
  for _, key in ipairs({ fleet, ended, lives }) do keepFor(key, 30 * DAY) end
  return view
end
-- Ends the opening that we have watched.
operations.O = function()
  if nextArg() ~= opening then return 0 end
  opening = false
  redis.call('HDEL', fleet, '!opening')
  isSlotFreed = true
  return 1
end
-- A step of a burial, from a cursor on: frees slots of the dead, and answers the next cursor and its entries. \`seen\`: its last batch.
operations.B = function()
  local dead, seen, from = nextArg(), nextArg(), nextArg()
  local last = redis.call('HGET', fleet, 'm:' .. dead)
  if not last then return { 'gone' } end
  if last ~= 'x' then
    if last ~= seen then return { 'alive' } end
    redis.call('HSET', fleet, 'm:' .. dead, 'x')
  end
  local step = redis.call('HSCAN', fleet, from, 'COUNT', 200)
  local found = { step[1] }
  local fields = step[2]
  for n = 1, #fields, 2 do
    local field, value = fields[n], fields[n + 1]
    local kind = string.sub(field, 1, 2)
    if kind == 'e:' and string.find(value, dead, 1, true) then
      releaseAll(string.sub(field, 3), dead)
    elseif kind == 'j:' and (string.sub(value, 1, #dead + 1) == dead .. ' ' or not string.find(value, '^%S+ %d+ %d+:')) then
      found[#found + 1] = string.sub(field, 3)
      found[#found + 1] = value
    end
  end
  return found
end
-- Removes a member whose slots are free and whose entries are others'.
operations.X = function()
  local dead = nextArg()
  if redis.call('HGET', fleet, 'm:' .. dead) == 'x' then removeMember(dead) end
  return 1
end
-- Leaves. Where entries are left, others take these over as from the dead.
operations.Q = function()
  hasLeft = true
  if nextArg() == '1' then redis.call('HSET', fleet, 'm:' .. me, 'x') else removeMember(me) end
  return 1
end
`
