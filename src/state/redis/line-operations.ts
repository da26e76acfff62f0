/**
 * Lua operations on the line: the members whose callers wait for a slot, each with the time at which its first waiting caller called. The
 * fleet serves its callers in this order.
 *
 * A slot that becomes free begins a turn: it is offered to the first member in the line, and to no other. That member takes the slot, or
 * passes because its caller cannot use it; then the next member gets the offer. A member that has not answered after `OFFER_MS` leaves the
 * line, so a dead process delays the others by that time at most. While a turn lasts, a member takes a slot only if no member before it
 * could take one.
 *
 * `!turn` has the member with the offer, the time of the offer, how many slots became free and were not taken, the member that saw room
 * out of its turn (`-`: none), and the members that have passed.
 */
export const LINE_OPERATIONS = `
local OFFER_MS = 1000
-- A slot that the callers of the first members cannot use is offered to so many members. The others find it with their next engine list.
local MAX_PASSES = 3
-- The member that gets an offer with this batch; '': a turn has ended.
local offeredTo
-- Whether any member waits.
local function hasLine()
  return redis.call('EXISTS', waiting) == 1
end
-- Makes the functions of the line, once.
local theLine
local function line()
  if theLine then return theLine end
  theLine = {}
  local turn, isTurnChanged
  if turnText then
    local words = {}
    for word in string.gmatch(turnText, '%S+') do words[#words + 1] = word end
    turn = { to = words[1], at = tonumber(words[2]), freeCount = tonumber(words[3]), seeker = words[4], passed = {}, passCount = #words - 4 }
    for n = 5, #words do turn.passed[words[n]] = true end
  end
  -- The first member in the line that has not passed, and when its caller called.
  local function firstInLine(except)
    local all = redis.call('ZRANGE', waiting, 0, -1, 'WITHSCORES')
    for n = 1, #all, 2 do
      if all[n] ~= except and not (turn and turn.passed[all[n]]) then return all[n], tonumber(all[n + 1]) end
    end
  end
  local function offer(member)
    turn = turn or { freeCount = 0, seeker = '-', passed = {}, passCount = 0 }
    turn.to, turn.at, isTurnChanged, offeredTo = member, nowMs(), true, member
  end
  local function endTurn()
    if turn then turn, isTurnChanged, offeredTo = nil, true, '' end
  end
  local function offerToNext()
    local member = firstInLine()
    if member then offer(member) else endTurn() end
  end
  theLine.endTurn = endTurn
  -- Whether the sender may take a slot for a caller that called at this time. If the caller of another member called before, that member gets
  -- the offer, and the second result is how long the offer lasts, milliseconds.
  function theLine.isTurnOf(calledAt)
    while true do
      local first, since = firstInLine(me)
      if not first or since >= calledAt then return true end
      if not turn or turn.to ~= first then
        offer(first)
        turn.seeker = me
      elseif nowMs() - turn.at < OFFER_MS then
        return false, OFFER_MS - (nowMs() - turn.at)
      else
        redis.call('ZREM', waiting, first)
      end
    end
  end
  function theLine.noteTaken()
    if not turn then return end
    turn.freeCount, isTurnChanged = turn.freeCount - 1, true
    if turn.seeker == me then turn.seeker = '-' end
    if turn.freeCount > 0 or turn.seeker ~= '-' then offerToNext() else endTurn() end
  end
  -- The sender cannot use a free slot.
  function theLine.pass()
    if not turn or turn.passed[me] then return end
    turn.passed[me], turn.passCount, isTurnChanged = true, turn.passCount + 1, true
    if turn.seeker == me then turn.seeker = '-' end
    if turn.seeker == '-' and turn.passCount >= MAX_PASSES then endTurn() elseif turn.to == me then offerToNext() end
  end
  -- So many slots became free. Members that have passed may be able to use them.
  function theLine.offerFree(count)
    if turn then turn.passed, turn.passCount, isTurnChanged = {}, 0, true end
    if turn and nowMs() - turn.at >= OFFER_MS then redis.call('ZREM', waiting, turn.to) end
    if not turn or nowMs() - turn.at >= OFFER_MS then offerToNext() end
    if turn then turn.freeCount = turn.freeCount + count end
  end
  function theLine.enter(calledAt)
    redis.call('ZADD', waiting, calledAt, me)
    keepFor(waiting, DAY)
  end
  function theLine.leave(member)
    if redis.call('ZREM', waiting, member) == 1 and turn and turn.to == member then offerToNext() end
  end
  function theLine.write()
    if not isTurnChanged then return end
    if not turn then return redis.call('HDEL', fleet, '!turn') end
    local words = { turn.to, string.format('%.0f', turn.at), turn.freeCount, turn.seeker }
    for member in pairs(turn.passed) do words[#words + 1] = member end
    redis.call('HSET', fleet, '!turn', table.concat(words, ' '))
  end
  return theLine
end
`
