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
-- The ids of all members, and how long each may be silent.
local function members()
  local ids, ttls = {}, {}
  for id, ttl in string.gmatch(redis.call('HGET', fleet, '!members') or '', '(%S+)/(%d+)') do
    ids[#ids + 1] = id
    ttls[id] = tonumber(ttl)
  end
  return ids, ttls
end
local function writeMembers(ids, ttls)
  local texts = {}
  for n, id in ipairs(ids) do texts[n] = id .. '/' .. string.format('%.0f', ttls[id]) end
  redis.call('HSET', fleet, '!members', table.concat(texts, ' '))
end
local MOST_REMOVED = 100
-- Whether a member was removed, so that a batch of it is late, or it was taken for dead.
local function wasRemoved(member)
  return string.find(redis.call('HGET', fleet, '!removed') or '', member, 1, true)
end
local function removeMember(member)
  local ids, ttls = members()
  local left = {}
  for _, id in ipairs(ids) do if id ~= member then left[#left + 1] = id end end
  writeMembers(left, ttls)
  redis.call('HDEL', fleet, 'm:' .. member, 'a:' .. member)
  local removed = { member }
  for id in string.gmatch(redis.call('HGET', fleet, '!removed') or '', '%S+') do
    if #removed < MOST_REMOVED then removed[#removed + 1] = id end
  end
  redis.call('HSET', fleet, '!removed', table.concat(removed, ' '))
end
local function infoOf(section)
  return redis.call('INFO', section)
end
-- Whether the server shows that it lost nothing of this state for as long as a member may be silent: it began empty, it runs for longer, and
-- nothing was deleted or replaced on it.
local function isVouchedFor()
  if not isServerTime then return false end
  local server, commands, persistence = infoOf('server'), infoOf('commandstats'), infoOf('persistence')
  if not string.find(server, 'redis_mode:standalone', 1, true) then return false end
  if not string.find(persistence, 'rdb_last_load_keys_loaded:0\\r', 1, true) then return false end
  if not string.find(persistence, 'aof_enabled:0\\r', 1, true) then return false end
  local suspects = 'flushall flushdb swapdb del unlink getdel copy rename renamenx move migrate restore replicaof slaveof config|resetstat'
  for command in string.gmatch(suspects, '%S+') do
    if string.find(commands, 'cmdstat_' .. command .. ':', 1, true) then return false end
  end
  if not string.find(infoOf('stats'), 'evicted_keys:0\\r', 1, true) then return false end
  local replication = infoOf('replication')
  if not string.find(replication, 'role:master', 1, true) then return false end
  if not string.find(replication, 'master_replid2:0000000000', 1, true) then return false end
  return (tonumber(string.match(server, 'uptime_in_seconds:(%d+)') or 0) - 1) * 1000 >= ttlMs
end
local hasLooked = false
local function lookAtServer()
  if hasLooked then return end
  hasLooked = true
  local current = string.match(infoOf('server'), 'run_id:(%w+)') or 'unknown'
  if run == current or (birth == '' and not isJoining) then return end
  if birth == '' then
    birth = token
    redis.call('HSET', fleet, '!birth', birth)
    local isKnownLoss = predecessor ~= '-' or redis.call('EXISTS', ended, lives) > 0
    if isKnownLoss or not isVouchedFor() then beginOpening() end
  else
    beginOpening()
  end
  redis.call('HSET', fleet, '!run', current)
end
local hasLeft = false
local function join()
  lookAtServer()
  if record then return end
  local ids, ttls = members()
  ids[#ids + 1] = me
  ttls[me] = ttlMs
  writeMembers(ids, ttls)
  if predecessor ~= '-' and isLiving(predecessor) then redis.call('HSET', fleet, 'm:' .. predecessor, 'x') end
end
-- What a newcomer needs to know of the server: under which key it keeps the state, and what it does when it is full.
operations.I = function()
  return { fleet, string.match(infoOf('memory'), 'maxmemory_policy:([%w-]+)') or '' }
end
-- The others: what is being opened, the generation of the ended ids, then each member, its last batch and how long it may be silent.
operations.V = function()
  lookAtServer()
  local view = { opening or '', generationOfEnds() }
  local ids, ttls = members()
  for _, id in ipairs(ids) do
    if id ~= me then
      view[#view + 1] = id
      view[#view + 1] = redis.call('HGET', fleet, 'm:' .. id) or 'x'
      view[#view + 1] = ttls[id]
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
-- Declares a member dead, if it has sent no batch since the one seen.
operations.M = function()
  local member, seen = nextArg(), nextArg()
  local last = redis.call('HGET', fleet, 'm:' .. member)
  if last and last ~= 'x' and last ~= seen then return 0 end
  if last then redis.call('HSET', fleet, 'm:' .. member, 'x') end
  return 1
end
-- A step through the whole state, from a cursor on: releases slots of members that do not live, and answers the next cursor and entries of such.
operations.B = function()
  local known = {}
  local function isGone(member)
    if known[member] == nil then known[member] = not isLiving(member) end
    return known[member]
  end
  local step = redis.call('HSCAN', fleet, nextArg(), 'COUNT', 200)
  local found = { step[1] }
  local fields = step[2]
  for n = 1, #fields, 2 do
    local field, value = fields[n], fields[n + 1]
    local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
    if kind == 'e:' then
      releaseOf(name, isGone)
    elseif kind == 'j:' then
      local owner = string.match(value, '^(%S+) %d+ %d+:')
      if not owner or isGone(owner) then
        found[#found + 1] = name
        found[#found + 1] = value
      end
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
-- Leaves. Where something is left, others take it over as from the dead.
operations.Q = function()
  hasLeft = true
  if nextArg() == '1' then redis.call('HSET', fleet, 'm:' .. me, 'x') else removeMember(me) end
  return 1
end
`
