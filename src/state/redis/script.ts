import { createHash } from 'node:crypto'
import { END_OPERATIONS } from './end-operations.ts'
import { JOURNAL_OPERATIONS } from './journal-operations.ts'
import { MEMBER_OPERATIONS } from './member-operations.ts'
import { SLOT_OPERATIONS } from './slot-operations.ts'

/** A Lua script and the name by which a server that has loaded it runs it. */
export interface Script {
  readonly text: string
  readonly sha: string
}

/**
 * The fleet's state is one hash, KEYS[1]; losing it is noticed, since every member's record is in it. Its fields:
 *
 * - `!birth`: names this hash. `!run`: the server process that it was last used on. `!opening`: there while no slot is given out.
 * - `!members`: the ids of the members, each with its `slotTtlMs`. `m:<member>`: the number of its last batch, or `x` once it is dead.
 *   `a:<member>`: the answers to that batch. `!removed`: the ids of members that were removed last.
 * - `e:<engine>`: how many slots are taken there, and which: slot -> members that hold it.
 * - `j:<stream>`: an entry of the journal: its member, its place in the order, its life (with its length before it), and its text.
 *
 * KEYS[2], KEYS[3]: the ended ids by time, and their lives.
 *
 * ARGV 1-6: the member, the number of this batch, the last number that the member knows to be applied, which member it was before if it joins
 * (`-` if none; empty if it does not join), `slotTtlMs`, and whether the server's time is the member's. Then the operations, each a letter
 * and its arguments.
 *
 * A member has one batch under way at a time. Client libraries send a command again when its connection breaks, so a batch may arrive twice,
 * or after a later one: the first is answered as before, the second is ignored.
 *
 * `allow-oom`: a server that is out of memory must not keep a slot from being released; the state is small, so everything else is allowed too.
 */
const HEAD = `#!lua flags=allow-oom
local fleet, ended, lives = KEYS[1], KEYS[2], KEYS[3]
local me, number, confirmed, predecessor = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local ttlMs, isServerTime = tonumber(ARGV[5]), ARGV[6] == '1'
local DAY = 86400000
local cursor = 6
local function nextArg()
  cursor = cursor + 1
  return ARGV[cursor]
end
local function nextNumber()
  return tonumber(nextArg())
end
local state = redis.call('HMGET', fleet, 'm:' .. me, '!birth', '!run', '!opening')
local record, birth, run, opening = state[1], state[2] or '', state[3], state[4]
local token = me .. '.' .. number
local function beginOpening()
  opening = token
  redis.call('HSET', fleet, '!opening', token)
end
local isJoining = predecessor ~= ''
local operations = {}
local answers = {}
local releaseOf, generationOfEnds
-- Nothing is kept longer than somebody uses it.
local function keepFor(key, ms)
  redis.call('PEXPIRE', key, math.ceil(ms), 'NX')
  redis.call('PEXPIRE', key, math.ceil(ms), 'GT')
end
-- What is published when all is done: that a slot is free, and streams that are settled.
local isSlotFreed, settled = false, {}
-- Whether a field turned out not to be this script's.
local isDamaged = false
local function isLiving(member)
  local found = redis.call('HGET', fleet, 'm:' .. member)
  return found and found ~= 'x'
end
`

/** Looks whether the member and the batch are what they should be, runs the operations in order, and keeps the answers in case the same batch arrives again. */
const TAIL = `
if record == 'x' or wasRemoved(me) then return { 'buried', birth } end
if not record and not isJoining then
  lookAtServer()
  return { 'unknown', birth, opening and 1 or 0 }
end
if record and tonumber(record) < confirmed then
  beginOpening()
  return { 'lost', birth, 1 }
end
if record and number <= tonumber(record) then
  local kept = number == tonumber(record) and redis.call('HGET', fleet, 'a:' .. me)
  if kept then return { 'done', birth, cmsgpack.unpack(kept) } end
  return { 'overtaken', birth, 0 }
end
if isJoining then join() end
while cursor < #ARGV do
  local answer = operations[nextArg()]()
  answers[#answers + 1] = answer
end
if isDamaged then
  beginOpening()
  for _, id in ipairs(members()) do
    if isLiving(id) then redis.call('HSET', fleet, 'm:' .. id, 0) end
  end
  -- A member that joined with this batch joins again, as another one.
  if not record then redis.call('HSET', fleet, 'm:' .. me, 'x') end
  return { 'lost', birth, 1 }
end
if not hasLeft then redis.call('HSET', fleet, 'm:' .. me, number, 'a:' .. me, cmsgpack.pack(answers)) end
-- A user of Redis may be allowed everything but to publish: then the others look by themselves.
if isSlotFreed then redis.pcall('PUBLISH', fleet .. ':freed', me) end
for _, id in ipairs(settled) do redis.pcall('PUBLISH', fleet .. ':freed', me .. ' ' .. id) end
return { 'done', birth, answers }
`

const text = [HEAD, MEMBER_OPERATIONS, SLOT_OPERATIONS, JOURNAL_OPERATIONS, END_OPERATIONS, TAIL].join('')

/** The only script. */
export const SCRIPT: Script = { text, sha: createHash('sha1').update(text).digest('hex') }

/** Where one fleet's state is. All keys share one hash tag, so that a cluster keeps them on one server and one script may use them all. */
export function keysOf(name: string): readonly [state: string, ended: string, lives: string] {
  const tag = `{acestream:${name}}`
  return [`${tag}:state`, `${tag}:ended`, `${tag}:lives`]
}

/** The name of the fleet that uses an orchestrator: its address without the scheme, and without the `/v1` that an address may end with. */
export function nameFrom(baseUrl: string): string {
  return baseUrl.replace(/^https?:\/\//, '').replace(/\/v1$/, '')
}
