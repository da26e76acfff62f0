import { createHash } from 'node:crypto'
import { END_OPERATIONS } from './end-operations.ts'
import { LINE_OPERATIONS } from './line-operations.ts'
import { MEMBER_CHECKS, MEMBER_OPERATIONS } from './member-operations.ts'
import { SLOT_OPERATIONS } from './slot-operations.ts'

/** A Lua script, and the hash by which a server that has loaded it runs it. */
export interface Script {
  readonly text: string
  readonly sha: string
}

/**
 * The operations of the script. The comment above each in its file documents its arguments and its answer.
 *
 * | operation | effect | file |
 * |---|---|---|
 * | `serverInfo` | reports the key of the state and the eviction policy | member-operations.ts |
 * | `view` | lists the other members, and whether the fleet is on hold | |
 * | `endHold` | ends a hold | |
 * | `markDead` | declares a silent member dead | |
 * | `walk` | releases the slots of dead members step by step, and lists their journal entries | |
 * | `removeMember` | removes a dead member that has no slot and no entry left | |
 * | `leave` | takes the sender out of the fleet | |
 * | `takeSlot` | grants a slot on the first engine with room: the atomic step of `take()` | slot-operations.ts |
 * | `leaveLine` | the sender has no caller that waits | |
 * | `pass` | the sender cannot use the slot that it was offered | |
 * | `setSlot` | moves or releases a slot | |
 * | `reclaimLease` | restores a lease that the server lost | |
 * | `writeEntry` | writes an entry of the journal | end-operations.ts |
 * | `restoreEntry` | writes an entry that the server may have lost | |
 * | `settleEntry` | deletes an entry: its stream is ended | |
 * | `takeOverEntry` | makes the entry of a dead member the sender's | |
 * | `setAsideEntry` | moves a field that is no entry out of the way | |
 * | `claimEnd` | claims the end of a stream | |
 * | `claimEndWith` | claims the end of a stream, and writes an entry of the journal | |
 * | `reportEnds` | reports claims that the server does not know | |
 * | `unclaimEnds` | withdraws claims | |
 * | `endedAmong` | returns which ids have ended | |
 * | `forgetEnded` | deletes ended ids beyond the retention | |
 */
type OperationName =
  | 'serverInfo'
  | 'view'
  | 'endHold'
  | 'markDead'
  | 'walk'
  | 'removeMember'
  | 'leave'
  | 'takeSlot'
  | 'leaveLine'
  | 'pass'
  | 'setSlot'
  | 'reclaimLease'
  | 'writeEntry'
  | 'restoreEntry'
  | 'settleEntry'
  | 'takeOverEntry'
  | 'setAsideEntry'
  | 'claimEnd'
  | 'claimEndWith'
  | 'reportEnds'
  | 'unclaimEnds'
  | 'endedAmong'
  | 'forgetEnded'

/** The name of an operation, and its arguments. */
export type OperationCall = readonly [name: OperationName, ...args: string[]]

/** A call of an operation, and the handler of its answer. */
export interface Operation {
  readonly call: OperationCall
  /** Called once Redis has applied the operation. */
  readonly onApplied?: ((answer: unknown) => void) | undefined
}

/**
 * The beginning of the script, which every batch runs. It reads the state of the fleet.
 *
 * KEYS[1] is a hash. Each member detects its loss, because the hash contains the member's own record:
 *
 * - `!birth`: a name for this hash. `!run`: the server process that used it last. `!opening`: exists during a hold, while no slot is
 *   granted. `!written`: the last place in the order of the journal.
 * - `!members`: the ids of the members, each with its `slotTtlMs`. `m:<member>`: the number of its last batch, or `x` once it is dead.
 *   `a:<member>`: the answers to that batch. `!removed`: the ids of the members that were removed last.
 * - `!freed`: how many slots became free so far. `f:<number>`: the engine of one of the last of them, by its number modulo `FREED_KEPT`. `!turn`:
 *   the slot that is being offered, see line-operations.ts. `!mute`: exists while members have no right to publish.
 * - `e:<engine>`: how many slots are taken there, and which ones: slot -> members that hold it.
 * - `j:<stream>`: an entry of the journal: its member, its place in the order, its life (with its length before it), and its text.
 * - `?:<stream>`, `?:e:<engine>`: a field that this script did not write, set aside.
 *
 * KEYS[2] is a sorted set: the ended ids by time. KEYS[3] is a hash: their lives. KEYS[4] is a sorted set: the members whose callers wait for a
 * slot, see line-operations.ts.
 *
 * ARGV[1] to ARGV[7] are: the id of the member; the number of this batch; the highest number that the member knows to be applied; if the
 * member joins with this batch, the id that it had before (`-`: none), otherwise empty; `slotTtlMs`; `1` if the member's clock is the
 * system's; the member's time, empty if its clock is the system's. Then come the operations, each a name and its arguments.
 *
 * A member has one batch in flight at a time. Client libraries send a command again if its connection breaks, so a batch may arrive twice,
 * or after a later one. The script answers the first with the stored answers and ignores the second.
 *
 * `allow-oom`: a server without memory must still release slots. The state is small, so all other operations are allowed too.
 */
const HEAD = `#!lua flags=allow-oom
local fleet, ended, lives, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local me, batch, confirmed, predecessor = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local ttlMs, isServerTime = tonumber(ARGV[5]), ARGV[6] == '1'
local isJoining = predecessor ~= ''
local DAY = 86400000
-- Reads the next argument of an operation.
local cursor = 7
local function nextArg()
  cursor = cursor + 1
  return ARGV[cursor]
end
local function nextNumber()
  return tonumber(nextArg())
end
local state = redis.call('HMGET', fleet, 'm:' .. me, '!birth', '!run', '!opening', '!freed', '!turn', '!mute')
local lastBatch, birth, run, hold, turnText, isMute = state[1], state[2] or '', state[3], state[4], state[6], state[7]
-- How many slots became free so far.
local freedCount = tonumber(state[5]) or 0
-- A text that is different in each batch of each member.
local token = me .. '.' .. batch
-- The sender's time, or the server's if the sender has the system's clock, milliseconds.
local timeNow = tonumber(ARGV[7])
local function nowMs()
  if not timeNow then
    local time = redis.call('TIME')
    timeNow = time[1] * 1000 + math.floor(time[2] / 1000)
  end
  return timeNow
end
local function beginHold()
  hold = token
  redis.call('HSET', fleet, '!opening', token)
end
local operations = {}
local answers = {}
-- Most batches use few operations, and making a function takes time: the functions of a group are made when an operation is used that none of
-- the groups before has.
local groups, groupCount = {}, 0
-- Makes the functions of all groups up to the first that has this operation. Without an operation: of all groups.
local function define(name)
  while not operations[name or ''] and groupCount < #groups do
    groupCount = groupCount + 1
    groups[groupCount]()
  end
end
-- Declared here because an earlier part of the script uses them.
local releaseSlotsOfGone, generationOfEnds
-- Makes an unused key expire.
local function keepFor(key, ms)
  redis.call('PEXPIRE', key, math.ceil(ms), 'NX')
  redis.call('PEXPIRE', key, math.ceil(ms), 'GT')
end
-- Published at the end: how many slots of each engine this batch freed, whether any slot may be free, and which streams are settled.
local freed, isAnyFree, settled = nil, false, {}
-- Whether a field was found that this script did not write.
local isDamaged = false
local function isLiving(member)
  -- The record of a member that joins with this batch is written at the end.
  if member == me then return true end
  local found = redis.call('HGET', fleet, 'm:' .. member)
  return found and found ~= 'x'
end
`

/**
 * Checks the member and the number of the batch, runs the operations in order, and stores the answers in case the same batch arrives again.
 * Returns a {@link BatchAnswer}.
 */
const TAIL = `
if lastBatch == 'x' or (not lastBatch and wasRemoved(me)) then return { 'dead', birth } end
if not lastBatch and not isJoining then
  checkServer()
  return { 'unknown', birth, hold and 1 or 0 }
end
if lastBatch and tonumber(lastBatch) < confirmed then
  beginHold()
  return { 'lost', birth, 1 }
end
if lastBatch and batch <= tonumber(lastBatch) then
  local stored = batch == tonumber(lastBatch) and redis.call('HGET', fleet, 'a:' .. me)
  if stored then return { 'done', birth, cmsgpack.unpack(stored) } end
  return { 'overtaken', birth, 0 }
end
if isJoining then
  define()
  join()
end
while cursor < #ARGV do
  local name = nextArg()
  define(name)
  answers[#answers + 1] = operations[name]()
end
if isDamaged then
  define()
  -- Slots may be missing. Every member has to join again and to report its slots.
  beginHold()
  for _, id in ipairs(members()) do
    if isLiving(id) then redis.call('HSET', fleet, 'm:' .. id, 0) end
  end
  -- A member that joined with this batch joins again under another id.
  if not lastBatch then redis.call('HSET', fleet, 'm:' .. me, 'x') end
  return { 'lost', birth, 1 }
end
if not hasLeft then redis.call('HSET', fleet, 'm:' .. me, batch, 'a:' .. me, cmsgpack.pack(answers)) end
-- A settled stream frees a slot for a member whose engine list still shows it.
local newlyFreed, lastFreed, notice = 0, nil, nil
for engine, count in pairs(freed or {}) do
  for _ = 1, count do
    freedCount, newlyFreed, lastFreed = freedCount + 1, newlyFreed + 1, engine
    redis.call('HSET', fleet, '!freed', freedCount, 'f:' .. freedCount % FREED_KEPT, engine)
  end
end
if isAnyFree or newlyFreed > 0 or #settled > 0 then
  local isLine = hasLine()
  if isLine and isAnyFree then line().endTurn() elseif isLine then line().offerFree(newlyFreed) end
  if isAnyFree or (newlyFreed > 0 and not isLine) then notice = me end
end
if theLine then theLine.write() end
if offeredTo and not isAnyFree then
  local isLeft = isSlotLeft and #offeredTo == 0
  notice = me .. '|' .. table.concat(offeredTo, ' ') .. '|' .. (isLeft and '*' or lastFreed or '')
end
-- A user without the right to publish can use the store. Then there is no line, because no member notices an offer: the members find free slots
-- later.
local function publish(message)
  local answer = redis.pcall('PUBLISH', fleet .. ':freed', message)
  local isDenied = type(answer) == 'table' and answer.err
  if isDenied and not isMute then
    redis.call('HSET', fleet, '!mute', 1)
    redis.call('HDEL', fleet, '!turn')
    for _, member in ipairs(redis.call('ZRANGE', waiting, 0, -1)) do redis.call('ZREM', waiting, member) end
  elseif isMute and not isDenied then
    redis.call('HDEL', fleet, '!mute')
  end
  isMute = isDenied
end
for _, id in ipairs(settled) do publish(me .. ' ' .. id) end
if notice then publish(notice) end
return { 'done', birth, answers }
`

const text = [HEAD, MEMBER_CHECKS, LINE_OPERATIONS, SLOT_OPERATIONS, END_OPERATIONS, MEMBER_OPERATIONS, TAIL].join('')

/** The only script. Every batch runs it. */
export const SCRIPT: Script = { text, sha: createHash('sha1').update(text).digest('hex') }

/**
 * The answer to a batch. `birth` names the state on the server.
 *
 * - `done`: applied, now or before; `rest` holds one answer for each operation.
 * - `dead`: other members took this member for dead.
 * - `unknown`: the state does not contain this member. `rest` is 1 during a hold, otherwise 0.
 * - `lost`: the server lost a batch of this member that it had confirmed. A hold has begun.
 * - `overtaken`: a later batch was applied before.
 *
 * Nothing was applied unless the status is `done`.
 */
export interface BatchAnswer {
  readonly status: 'done' | 'dead' | 'unknown' | 'lost' | 'overtaken'
  readonly birth: string
  readonly rest: unknown
}

const STATUSES: readonly string[] = ['done', 'dead', 'unknown', 'lost', 'overtaken'] satisfies readonly BatchAnswer['status'][]

/** @throws {@link Error} if the script cannot have made this answer */
export function parseAnswer(answer: unknown): BatchAnswer {
  if (Array.isArray(answer)) {
    const [status, birth, rest] = answer as unknown[]
    if (STATUSES.includes(String(status)) && (String(status) !== 'done' || Array.isArray(rest))) {
      return { status: String(status) as BatchAnswer['status'], birth: String(birth), rest }
    }
  }
  throw new Error("the answer is not the script's; check whether a wrapper of the client or a proxy of Redis changes answers")
}

/** The keys of a fleet. They share a hash tag, so a cluster keeps them on one server, and one script can use all of them. */
export function keysOf(name: string): readonly [state: string, ended: string, lives: string, line: string] {
  const tag = `{acestream:${name}}`
  return [`${tag}:state`, `${tag}:ended`, `${tag}:lives`, `${tag}:line`]
}

/** The default name of a fleet: the address of its orchestrator without the scheme and without a final `/v1`. */
export function nameFrom(baseUrl: string): string {
  return baseUrl.replace(/^https?:\/\//, '').replace(/\/v1$/, '')
}
