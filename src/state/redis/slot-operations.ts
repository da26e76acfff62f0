/**
 * Lua operations on slots. A slot is held by a lease (`l:<lease>`) or by a stream (`s:<stream>`). If several members have the same stream,
 * it is one slot, which stays taken until the last of them releases it.
 *
 * `takeSlot` computes the load of an engine as `loadOf` in `src/state/load.ts` does: the ids that are reported there or held there, each
 * once, plus the leases. Change both together.
 */
export const SLOT_OPERATIONS = `
local function unpackSlots(packed)
  local isUnpacked, slots = pcall(cmsgpack.unpack, packed)
  if not isUnpacked or type(slots) ~= 'table' then return nil end
  for slot, holders in pairs(slots) do
    if type(slot) ~= 'string' or type(holders) ~= 'string' then return nil end
  end
  return slots
end
-- How many slots are taken on an engine, and which ones: slot -> its members. A field that this script did not write is set aside. Its
-- slots are lost, so all members have to report theirs again.
local function slotsOn(engine)
  local value = redis.call('HGET', fleet, 'e:' .. engine)
  if not value then return 0, {} end
  local count, packed = string.match(value, '^(%d+) (.*)$')
  local slots = unpackSlots(packed)
  if slots then return tonumber(count), slots end
  isDamaged = true
  redis.call('HSET', fleet, '?:e:' .. engine, value)
  redis.call('HDEL', fleet, 'e:' .. engine)
  return 0, {}
end
-- How many slots are taken on an engine, without reading which ones.
local function countOn(engine)
  return tonumber(string.match(redis.call('HGET', fleet, 'e:' .. engine) or '', '^%d+')) or 0
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
-- Releases a slot for the sender. It stays taken while another member holds it.
local function release(engine, slot)
  local count, slots = slotsOn(engine)
  local holders = slots[slot]
  if not holders then return end
  local left = without(holders, me)
  if left == '' then
    slots[slot], count, isSlotFreed = nil, count - 1, true
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
  isSlotFreed = isSlotFreed or left < count
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
-- takeSlot, slot, '1' if a hold refuses it, limit, count, then for each candidate: engine, count, so many reported stream ids
-- -> the place of the first candidate with room, from 0; -1: all are full; -2: on hold.
-- The load is counted as loadOf() in src/state/load.ts counts it: change both together.
-- Counting and taking are one step: no other command runs in between.
operations.takeSlot = function()
  checkServer()
  local slot, mustWait, limit, count = nextArg(), nextArg() == '1', nextNumber(), nextNumber()
  local found = (hold and mustWait) and -2 or -1
  for place = 0, count - 1 do
    local engine, reportedCount = nextArg(), nextNumber()
    local first = cursor + 1
    cursor = cursor + reportedCount
    if found == -1 and countOn(engine) < limit then
      local load, slots = slotsOn(engine)
      local taken, seen = load, {}
      for n = first, cursor do
        local reported = 's:' .. ARGV[n]
        if not slots[reported] and not seen[reported] then load = load + 1 end
        seen[reported] = true
      end
      if load < limit then
        if not slots[slot] then taken = taken + 1 end
        slots[slot] = me
        writeSlots(engine, taken, slots)
        found = place
      end
    end
  end
  return found
end
`
