/**
 * Lua operations on slots. A slot is held by a lease (`l:<lease>`) or by a stream (`s:<stream>`). If several members have the same stream,
 * it is one slot, which stays taken until the last of them releases it.
 *
 * `takeSlot` computes the load of an engine as `loadOf` in `src/state/load.ts` does: the ids that are reported there or held there, each
 * once, plus the leases. Change both together.
 */
export const SLOT_OPERATIONS = `
-- Deletes the engines that were freed last: no member is left that could ask.
local function forgetFreed()
  for n = 0, FREED_KEPT - 1 do redis.call('HDEL', fleet, 'f:' .. n) end
end
groups[#groups + 1] = function()
-- Counts the slots of an engine that this batch frees. A lease that becomes a stream takes a slot and frees a slot: none is free afterwards.
local function noteFreed(engine, count)
  freed = freed or {}
  freed[engine] = (freed[engine] or 0) + count
end
local function unpackSlots(packed)
  local isUnpacked, slots = pcall(cmsgpack.unpack, packed)
  if not isUnpacked or type(slots) ~= 'table' then return nil end
  for slot, holders in pairs(slots) do
    if type(slot) ~= 'string' or type(holders) ~= 'string' then return nil end
  end
  return slots
end
-- Reads the field of an engine: how many slots are taken, and which ones: slot -> its members. A field that this script did not write is set
-- aside. Its slots are lost, so all members have to report theirs again.
local function slotsIn(engine, value)
  if not value then return 0, {} end
  local count, packed = string.match(value, '^(%d+) (.*)$')
  local slots = unpackSlots(packed)
  if slots then return tonumber(count), slots end
  isDamaged = true
  redis.call('HSET', fleet, '?:e:' .. engine, value)
  redis.call('HDEL', fleet, 'e:' .. engine)
  return 0, {}
end
local function slotsOn(engine)
  return slotsIn(engine, redis.call('HGET', fleet, 'e:' .. engine))
end
-- How many slots are taken on an engine, without reading which ones.
local function countOn(engine)
  return tonumber(string.match(redis.call('HGET', fleet, 'e:' .. engine) or '', '^%d+') or '') or 0
end
local function writeSlots(engine, count, slots)
  if count == 0 then
    redis.call('HDEL', fleet, 'e:' .. engine)
  else
    redis.call('HSET', fleet, 'e:' .. engine, count .. ' ' .. cmsgpack.pack(slots))
  end
end
local function without(holders, member)
  local left = {}
  for id in string.gmatch(holders, '%S+') do if id ~= member then left[#left + 1] = id end end
  return table.concat(left, ' ')
end
local leavePlace
-- Releases a slot for the sender. It stays taken while another member holds it.
local function release(engine, slot)
  local count, slots = slotsOn(engine)
  local holders = slots[slot]
  if not holders then return end
  local left = without(holders, me)
  if left == '' then
    slots[slot], count = nil, count - 1
    noteFreed(engine, 1)
  else
    slots[slot] = left
  end
  writeSlots(engine, count, slots)
end
-- Takes this slot for the sender, whether or not there is room.
local function put(engine, slot)
  local count, slots = slotsOn(engine)
  local holders = slots[slot]
  if not holders then
    slots[slot], count = me, count + 1
    noteFreed(engine, -1)
  elseif without(holders, me) == holders then
    slots[slot] = holders .. ' ' .. me
  else
    return
  end
  writeSlots(engine, count, slots)
end
-- Releases the slots of members that do not live.
releaseSlotsOfGone = function(engine, isGone)
  local count, slots = slotsOn(engine)
  local left, isChanged = 0, false
  for slot, holders in pairs(slots) do
    local living = {}
    for id in string.gmatch(holders, '%S+') do if isGone(id) then isChanged = true else living[#living + 1] = id end end
    -- Lua allows changing or removing an existing field during a walk.
    slots[slot] = #living > 0 and table.concat(living, ' ') or nil
    if #living > 0 then left = left + 1 end
  end
  if not isChanged then return end
  noteFreed(engine, count - left)
  writeSlots(engine, left, slots)
end
-- setSlot, slot, engine ('': none), count, then so many other engines -> 1.
-- The sender holds the slot on this engine from now on, and on none of the others.
operations.setSlot = function()
  local slot, engine = nextArg(), nextArg()
  for _ = 1, nextNumber() do
    local other = nextArg()
    if other ~= engine then release(other, slot) end
  end
  if engine ~= '' then put(engine, slot) end
  return 1
end
-- reclaimLease, slot, engine -> 1: the lease holds its slot again. 0: nothing is changed.
-- It is 0 after the end of the hold: another lease may have the slot by then.
operations.reclaimLease = function()
  local slot, engine = nextArg(), nextArg()
  if not hold then return 0 end
  put(engine, slot)
  return 1
end
-- takeSlot, slot, '1' if a hold refuses it, limit, number of freed slots as the sender knows it ('': it does not), age of the caller,
-- milliseconds ('': the slot is not for a caller), '1' if the caller waits, age of the next caller of the sender ('': none), count, then for each
-- candidate: engine, count, so many reported stream ids
-- -> [result, number of freed slots, for each candidate that is full 'h' (by its slots) or 'r' (with its reported streams), milliseconds until
-- another try makes sense (-1: there is no line), then the engines that were freed since the number of the sender and have room; '*' as the
-- only one: any engine].
-- Only the result if there is nothing else to report. A sender that has no candidate, and learns of no freed engine, passes.
-- The result is the place of the first candidate with room, from 0; -1: all are full; -2: on hold; -3: it is the turn of another member.
-- The load is counted as loadOf() in src/state/load.ts counts it: change both together.
-- Counting and taking are one step: no other command runs in between.
operations.takeSlot = function()
  checkServer()
  local slot, mustWait, limit, known = nextArg(), nextArg() == '1', nextNumber(), nextNumber()
  local age, isWaiting, nextAge, count = nextNumber(), nextArg() == '1', nextNumber(), nextNumber()
  local result, full, waitMs, filled = (hold and mustWait) and -2 or -1, '', 0, nil
  for place = 0, count - 1 do
    local engine, reportedCount = nextArg(), nextNumber()
    local first = cursor + 1
    cursor = cursor + reportedCount
    local value = result == -1 and redis.call('HGET', fleet, 'e:' .. engine)
    if value and (tonumber(string.match(value, '^%d+') or '') or 0) >= limit then
      full = full .. 'h'
    elseif result == -1 then
      local taken, slots = slotsIn(engine, value)
      local load, seen = taken, {}
      for n = first, cursor do
        local reported = 's:' .. ARGV[n]
        if not slots[reported] and not seen[reported] then load = load + 1 end
        seen[reported] = true
      end
      local isTurn = true
      if load < limit and age and hasLine() then isTurn, waitMs = line().isTurnOf(nowMs() - age, isWaiting) end
      if load >= limit then
        full = full .. 'r'
      elseif not isTurn then
        result = -3
      else
        if not slots[slot] then taken = taken + 1 end
        slots[slot] = me
        writeSlots(engine, taken, slots)
        noteFreed(engine, -1)
        result = place
        if load + 1 >= limit then filled = engine end
      end
    end
  end
  local answer = { result, freedCount, full, waitMs or 0 }
  if known and (known > freedCount or freedCount - known > FREED_KEPT) then
    answer[5] = '*'
  elseif known then
    for n = known + 1, freedCount do
      local engine = redis.call('HGET', fleet, 'f:' .. n % FREED_KEPT)
      if engine and countOn(engine) < limit then answer[#answer + 1] = engine end
    end
  end
  if age and result >= 0 then
    leavePlace(isWaiting, nextAge, function(engine) return engine ~= filled and countOn(engine) < limit end)
  elseif age and isWaiting and isMute then
    answer[4] = -1
  elseif age and isWaiting then
    line().enter(nowMs() - math.max(age, nextAge or 0))
    if count == 0 and known and #answer == 4 then line().pass() end
  end
  if full == '' and result ~= -3 and answer[4] >= 0 and (not age or known == freedCount) then return result end
  return answer
end
-- The sender has taken a slot: its place in the line is that of its next caller.
leavePlace = function(isWaiting, nextAge, hasRoom)
  if not (theLine or hasLine()) then return end
  if isWaiting and nextAge then line().keepPlace(nowMs() - nextAge) elseif isWaiting then redis.call('ZREM', waiting, me) end
  line().noteTaken(hasRoom)
end
-- leaveLine -> 1.
operations.leaveLine = function()
  if hasLine() then line().leave(me) end
  return 1
end
-- pass -> 1.
operations.pass = function()
  if hasLine() then line().pass() end
  return 1
end
end
`
