/**
 * Lua operations on the line: the members whose callers wait for a slot, each with the time at which its first waiting caller called. The
 * fleet serves its callers in this order.
 *
 * Slots that become free begin a turn: each is offered to one member, in the order of the line. A member takes the slot, or passes because its
 * caller cannot use it; then the next member gets the offer. A member that has not answered after `OFFER_MS` leaves the line, and then all
 * others get the offer at once, for `ROLL_CALL_MS`: those that are dead too leave the line together, and the first of the others takes the slot. So
 * dead processes delay the others by little more than `OFFER_MS`, however many there are. A member without an offer takes a slot only if no
 * other member is before it.
 *
 * `!turn` has: how many slots became free and were not taken; the waiting member that saw room before its turn (`-`: none); `#` and how many
 * slots had become free in the fleet before the turn; each offer, as `+`, its member, `@` and the time `OFFER_MS` before it expires; each member
 * that has passed, after a `-`; and `!` in a roll call. A word that this script did not write is ignored. If all members have passed, the turn is
 * over, but its passes count for as long as an offer lasts: `=` and the time of its end.
 */
export const LINE_OPERATIONS = `
-- Members that know which engines were full after a number of slots became free ask which engines are freed since.
local FREED_KEPT = 16
local OFFER_MS = 650
local ROLL_CALL_MS = 250
-- The time of one caller differs by this at most from call to call: it is sent as an age, and the commands take different times.
local SAME_MS = 250
-- A slot that the callers of the first members cannot use is offered to so many members. The others find it with their next engine list.
local MAX_PASSES = 3
-- The members that get an offer with this batch. Empty: a turn has ended. Then the second value tells whether a slot is left.
local offeredTo, isSlotLeft
-- Whether any member waits.
local function hasLine()
  return not isMute and redis.call('EXISTS', waiting) == 1
end
-- Makes the functions of the line, once.
local theLine
local function line()
  if theLine then return theLine end
  theLine = {}
  local turn, isTurnChanged, isSeekerNew
  local function newTurn()
    turn = { freeCount = 0, seeker = '-', freedBefore = freedCount, offers = {}, passed = {}, passCount = 0 }
  end
  if turnText then
    newTurn()
    local place = 0
    for word in string.gmatch(turnText, '%S+') do
      place = place + 1
      local mark, member = string.sub(word, 1, 1), string.sub(word, 2)
      if place == 1 then
        turn.freeCount = math.max(0, tonumber(word) or 0)
      elseif place == 2 then
        turn.seeker = word
      elseif mark == '+' then
        local id, at = string.match(member, '^(.*)@(%d+)$')
        if id then turn.offers[id] = tonumber(at) end
      elseif mark == '=' then
        turn.endedAt = tonumber(member)
      elseif mark == '!' then
        turn.isRollCall = true
      elseif mark == '#' then
        turn.freedBefore = tonumber(member) or freedCount
      elseif mark == '-' then
        turn.passed[member], turn.passCount = true, turn.passCount + 1
      end
    end
  end
  -- With keptPasses the members that have passed are skipped for a while, if a caller sees room.
  local function endTurn(keptPasses)
    if not turn then return end
    local passed = keptPasses and turn.passed
    turn, isTurnChanged, offeredTo = nil, true, offeredTo or {}
    if not (passed and next(passed) and hasLine()) then return end
    newTurn()
    turn.passed, turn.endedAt = passed, nowMs()
  end
  -- Also if the time of the server was set back.
  local function isExpired(offeredAt)
    return math.abs(nowMs() - offeredAt) >= OFFER_MS
  end
  if turn and turn.endedAt and isExpired(turn.endedAt) then turn, isTurnChanged = nil, true end
  -- Whether slots are being offered.
  local function isOffering()
    return turn and not turn.endedAt
  end
  -- Calls visit with each member that has not passed, in order, until it returns true. Members that have not answered an offer leave the line.
  local function eachInLine(visit)
    local all = redis.call('ZRANGE', waiting, 0, -1, 'WITHSCORES')
    for n = 1, #all, 2 do
      local member = all[n]
      local offeredAt = turn and turn.offers[member]
      if offeredAt and isExpired(offeredAt) then
        redis.call('ZREM', waiting, member)
        turn.offers[member], turn.isRollCall, isTurnChanged = nil, true, true
      elseif not (turn and turn.passed[member]) and visit(member, tonumber(all[n + 1]), offeredAt) then
        return
      end
    end
  end
  local function freeSlots()
    return math.max(turn.freeCount, turn.seeker == '-' and 0 or 1)
  end
  local function offerSlots()
    isTurnChanged = true
    local free, count = freeSlots(), 0
    eachInLine(function(member, _, offeredAt)
      if free == 0 or (count >= free and not turn.isRollCall) then return true end
      count = count + 1
      if not offeredAt then
        turn.offers[member] = nowMs() - (turn.isRollCall and OFFER_MS - ROLL_CALL_MS or 0)
        offeredTo = offeredTo or {}
        offeredTo[#offeredTo + 1] = member
      end
    end)
    if count > 0 then return end
    isSlotLeft = free > 0
    endTurn(isSlotLeft)
  end
  theLine.endTurn = endTurn
  -- Whether the sender may take a slot for a caller that called at this time. If not, the second result is how long the offers to the members
  -- before it last, milliseconds.
  function theLine.isTurnOf(calledAt, isWaiting)
    local beforeCount = 0
    local function eachBefore(visit)
      eachInLine(function(member, since, offeredAt)
        if since >= calledAt then return true end
        if member ~= me then visit(offeredAt) end
      end)
    end
    eachBefore(function() beforeCount = beforeCount + 1 end)
    if beforeCount == 0 then return true end
    local since = turn and turn.offers[me] and tonumber(redis.call('ZSCORE', waiting, me) or '')
    -- In a roll call more members than slots have an offer.
    if since and calledAt <= since + SAME_MS and (not turn.isRollCall or beforeCount < turn.freeCount) then return true end
    if not turn then newTurn() end
    turn.endedAt = nil
    -- A caller that does not wait gets no turn: only the slot that it saw is offered.
    if turn.freeCount == 0 and isWaiting then
      isSeekerNew, turn.seeker = turn.seeker ~= me, me
    elseif turn.freeCount == 0 and turn.seeker == '-' then
      turn.freeCount = 1
    end
    offerSlots()
    -- The sender has answered the roll call. It gets the slot if no member before it answers.
    if turn.isRollCall and turn.offers[me] then turn.offers[me] = nowMs() end
    local waitMs = 0
    eachBefore(function(offeredAt)
      if offeredAt then waitMs = math.max(waitMs, OFFER_MS - math.abs(nowMs() - offeredAt)) end
    end)
    return false, waitMs
  end
  -- Only as many members as there are free slots keep their offers.
  local function endRollCall()
    local left, kept = freeSlots(), {}
    eachInLine(function(member, _, offeredAt)
      if left == 0 then return true end
      left, kept[member] = left - 1, offeredAt
    end)
    turn.offers, turn.isRollCall = kept, nil
  end
  -- The sender took a slot. hasRoom tells whether an engine has another: the taken slot may be none of those that became free.
  function theLine.noteTaken(hasRoom)
    if not isOffering() then return end
    turn.freeCount, turn.offers[me] = math.max(0, turn.freeCount - 1), nil
    if turn.seeker == me then turn.seeker = '-' end
    for n = math.max(turn.freedBefore, freedCount - FREED_KEPT) + 1, freedCount do
      local engine = turn.freeCount == 0 and redis.call('HGET', fleet, 'f:' .. n % FREED_KEPT)
      if engine and hasRoom(engine) then turn.freeCount = 1 end
    end
    if turn.isRollCall then endRollCall() end
    offerSlots()
  end
  -- The sender cannot use the slot that it was offered.
  function theLine.pass()
    if not isOffering() or not (turn.offers[me] or turn.seeker == me) then return end
    turn.passed[me], turn.passCount, turn.offers[me] = true, turn.passCount + 1, nil
    -- Another caller of the sender saw the slot, which the other members may be able to use.
    if turn.seeker == me then turn.seeker, turn.freeCount = '-', math.max(turn.freeCount, 1) end
    if turn.seeker == '-' and turn.passCount >= MAX_PASSES and not next(turn.offers) then
      isSlotLeft = true
      endTurn(true)
    else
      offerSlots()
    end
  end
  -- So many slots became free; 0: perhaps one. Members that have passed may be able to use them.
  function theLine.offerFree(count)
    if not turn then
      newTurn()
      turn.freedBefore = freedCount - count
    end
    -- The sender saw the slot that it frees with this batch, which counts already.
    if count > 0 and isSeekerNew then turn.seeker = '-' end
    turn.endedAt = nil
    turn.passed, turn.passCount, turn.freeCount = {}, 0, math.max(turn.freeCount + count, 1)
    offerSlots()
  end
  -- Gives the sender its place, without an offer.
  function theLine.keepPlace(calledAt)
    redis.call('ZADD', waiting, calledAt, me)
    keepFor(waiting, DAY)
  end
  function theLine.enter(calledAt)
    theLine.keepPlace(calledAt)
    if not isOffering() then return end
    -- The sender lives: an offer that it answers too late does not take its place.
    if turn.offers[me] and isExpired(turn.offers[me]) then turn.offers[me] = nil end
    offerSlots()
  end
  function theLine.leave(member)
    redis.call('ZREM', waiting, member)
    if not isOffering() then return end
    turn.offers[member] = nil
    if turn.seeker == member then turn.seeker = '-' end
    offerSlots()
  end
  function theLine.write()
    if turn and turn.endedAt and not hasLine() then turn, isTurnChanged = nil, true end
    if not isTurnChanged then return end
    if not turn then return redis.call('HDEL', fleet, '!turn') end
    local words = { string.format('%.0f', turn.freeCount), turn.seeker, '#' .. string.format('%.0f', turn.freedBefore) }
    if turn.endedAt then words[#words + 1] = '=' .. string.format('%.0f', turn.endedAt) end
    for member, at in pairs(turn.offers) do words[#words + 1] = '+' .. member .. '@' .. string.format('%.0f', at) end
    for member in pairs(turn.passed) do words[#words + 1] = '-' .. member end
    if turn.isRollCall then words[#words + 1] = '!' end
    redis.call('HSET', fleet, '!turn', table.concat(words, ' '))
  end
  return theLine
end
`
