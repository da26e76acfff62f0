/**
 * Lua operations on the members of a fleet.
 *
 * A server process that starts may have lost the last writes, or all of them (no copy on the disk, a replica that lagged). Slots that
 * members hold would be granted twice. So the state remembers the server process that used it (`run_id`). With a new process a hold begins:
 * no slot is granted until every member has had a whole `slotTtlMs` to report its slots. An empty state has a hold too, unless the server
 * can prove that it lost nothing in that time: it has run for longer, and nothing was deleted on it.
 *
 * A member is dead if another member has seen no new batch of it for a whole `slotTtlMs` by its own clock (see FailureDetector). That other
 * member then releases the slots step by step, because the state may be large.
 */
export const MEMBER_CHECKS = `
-- Declared here because other parts of the script use them.
local hasLeft = false
local members, isVouchedFor, join, removeMember
-- Whether a member left or was removed. A batch that it sent is late.
local function wasRemoved(member)
  return string.find(redis.call('HGET', fleet, '!removed') or '', member, 1, true)
end
-- Begins a hold if the server process is not the one that used this state last. At most once in a batch.
local isServerChecked = false
local function checkServer()
  if isServerChecked then return end
  isServerChecked = true
  local server = redis.call('INFO', 'server')
  if run and string.find(server, 'run_id:' .. run, 1, true) then return end
  if birth == '' and not isJoining then return end
  local current = string.match(server, 'run_id:(%w+)') or 'unknown'
  if birth == '' then
    birth = token
    redis.call('HSET', fleet, '!birth', birth)
    local isKnownLoss = predecessor ~= '-' or redis.call('EXISTS', ended, lives) > 0
    define()
    if isKnownLoss or not isVouchedFor() then beginHold() end
  else
    beginHold()
  end
  redis.call('HSET', fleet, '!run', current)
end
`

/** The operations themselves, which most batches do not use. */
export const MEMBER_OPERATIONS = `
groups[#groups + 1] = function()
-- The ids of all members, and how long each may be silent.
members = function()
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
local MAX_REMOVED = 100
removeMember = function(member)
  local ids, ttls = members()
  local left = {}
  for _, id in ipairs(ids) do if id ~= member then left[#left + 1] = id end end
  writeMembers(left, ttls)
  if #left == 0 then forgetFreed() end
  redis.call('HDEL', fleet, 'm:' .. member, 'a:' .. member)
  if hasLine() then line().leave(member) end
  local removed = { member }
  for id in string.gmatch(redis.call('HGET', fleet, '!removed') or '', '%S+') do
    if #removed < MAX_REMOVED then removed[#removed + 1] = id end
  end
  redis.call('HSET', fleet, '!removed', table.concat(removed, ' '))
end
local function infoOf(section)
  return redis.call('INFO', section)
end
-- Whether the server can prove that it lost nothing of this state for as long as a member may be silent: it started empty, it has run for
-- longer than that, and nothing was deleted or replaced on it.
isVouchedFor = function()
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
-- Adds the sender to the members, and declares its earlier member id dead.
join = function()
  checkServer()
  if lastBatch then return end
  local ids, ttls = members()
  ids[#ids + 1] = me
  ttls[me] = ttlMs
  writeMembers(ids, ttls)
  if predecessor ~= '-' and hasLine() then line().leave(predecessor) end
  if predecessor ~= '-' and isLiving(predecessor) then redis.call('HSET', fleet, 'm:' .. predecessor, 'x') end
end
-- serverInfo -> [key of the state as the server knows it, eviction policy]. A client library may put a prefix before all keys.
operations.serverInfo = function()
  return { fleet, string.match(infoOf('memory'), 'maxmemory_policy:([%w-]+)') or '' }
end
-- view -> [name of the hold ('': none), generation of the ended ids, then for each other member: id, last batch ('x': dead), slotTtlMs].
-- Also extends the lives of the keys.
operations.view = function()
  checkServer()
  local view = { hold or '', generationOfEnds() }
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
-- endHold, name of the hold -> 1. 0: another hold has begun since, or there is none; nothing is changed.
operations.endHold = function()
  if nextArg() ~= hold then return 0 end
  hold = false
  redis.call('HDEL', fleet, '!opening')
  isAnyFree = true
  return 1
end
-- markDead, member, its last batch as seen -> 1: the member is dead. 0: it has sent a batch since; nothing is changed.
operations.markDead = function()
  local member, seen = nextArg(), nextArg()
  local last = redis.call('HGET', fleet, 'm:' .. member)
  if last and last ~= 'x' and last ~= seen then return 0 end
  if last then redis.call('HSET', fleet, 'm:' .. member, 'x') end
  return 1
end
-- walk, cursor ('0': from the start) -> [next cursor ('0': done), then for each journal entry of a dead member: stream, entry].
-- One step through the whole state. Releases the slots of members that do not live.
operations.walk = function()
  local known = {}
  local function isGone(member)
    if known[member] == nil then known[member] = not isLiving(member) end
    return known[member]
  end
  local step = redis.call('HSCAN', fleet, nextArg(), 'COUNT', 100)
  local found = { step[1] }
  local fields = step[2]
  for n = 1, #fields, 2 do
    local field, value = fields[n], fields[n + 1]
    local kind, name = string.sub(field, 1, 2), string.sub(field, 3)
    if kind == 'e:' then
      releaseSlotsOfGone(name, isGone)
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
-- removeMember, member -> 1. For a dead member whose slots are released and whose entries other members have taken over.
operations.removeMember = function()
  local dead = nextArg()
  if redis.call('HGET', fleet, 'm:' .. dead) == 'x' then removeMember(dead) end
  return 1
end
-- leave, '1' if entries of the journal are left -> 1. The last operation of a member.
-- Other members take over its entries like the entries of dead members.
operations.leave = function()
  hasLeft = true
  if hasLine() then line().leave(me) end
  if nextArg() == '1' then redis.call('HSET', fleet, 'm:' .. me, 'x') else removeMember(me) end
  return 1
end
end
`
