/** Slots: leases (`l:<lease>`) and streams (`s:<stream>`). A stream that several members have is one slot, which stays while one of them has it. */
export const SLOT_OPERATIONS = `
local function unpackSlots(packed)
  local isUnpacked, slots = pcall(cmsgpack.unpack, packed)
  if not isUnpacked or type(slots) ~= 'table' then return nil end
  for slot, holders in pairs(slots) do
    if type(slot) ~= 'string' or type(holders) ~= 'string' then return nil end
  end
  return slots
end
-- A field that this script did not write is set aside. The slots that it may have held are lost, so all members have to report theirs again.
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
local function countOn(engine)
  return tonumber(string.match(redis.call('HGET', fleet, 'e:' .. engine) or '', '^%d+')) or 0
end
local function write(engine, count, slots)
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
-- Whether the slot is free then.
local function drop(slots, slot, member)
  local holders = slots[slot]
  local left = holders and without(holders, member)
  if not holders or left == holders then return false end
  slots[slot] = left ~= '' and left or nil
  isSlotFreed = isSlotFreed or left == ''
  return left == ''
end
local function release(engine, slot)
  local count, slots = slotsOn(engine)
  if not slots[slot] then return end
  if drop(slots, slot, me) then count = count - 1 end
  write(engine, count, slots)
end
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
  write(engine, count, slots)
end
-- Declared before the burial that uses it.
releaseOf = function(engine, isGone)
  local count, slots = slotsOn(engine)
  local left, isChanged = 0, false
  for slot, holders in pairs(slots) do
    local living = {}
    for id in string.gmatch(holders, '%S+') do if isGone(id) then isChanged = true else living[#living + 1] = id end end
    -- A field that is there may be changed or removed during a walk.
    slots[slot] = #living > 0 and table.concat(living, ' ') or nil
    if #living > 0 then left = left + 1 end
  end
  if not isChanged then return end
  isSlotFreed = isSlotFreed or left < count
  write(engine, left, slots)
end
-- A slot is to be held on this engine (nothing: on none), and on none of those.
operations.S = function()
  local slot, engine = nextArg(), nextArg()
  for _ = 1, nextNumber() do
    local other = nextArg()
    if other ~= engine then release(other, slot) end
  end
  if engine ~= '' then put(engine, slot) end
  return 1
end
-- A lease that the server lost is held again, if no slot was given out since.
operations.L = function()
  local slot, engine = nextArg(), nextArg()
  if not opening then return 0 end
  put(engine, slot)
  return 1
end
-- Takes a slot for a lease on the first candidate with room. Answers its place, -1 where all are full, -2 during the opening unless the
-- caller does not wait for that.
operations.K = function()
  lookAtServer()
  local slot, mustWait, limit, count = nextArg(), nextArg() == '1', nextNumber(), nextNumber()
  local found = (opening and mustWait) and -2 or -1
  for place = 0, count - 1 do
    local engine, reportedCount = nextArg(), nextNumber()
    local first = cursor + 1
    cursor = cursor + reportedCount
    if found == -1 and countOn(engine) < limit then
      local load, slots = slotsOn(engine)
      local held, seen = load, {}
      for n = first, cursor do
        local reported = 's:' .. ARGV[n]
        if not slots[reported] and not seen[reported] then load = load + 1 end
        seen[reported] = true
      end
      if load < limit then
        if not slots[slot] then held = held + 1 end
        slots[slot] = me
        write(engine, held, slots)
        found = place
      end
    end
  end
  return found
end
`
