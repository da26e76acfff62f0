import { type Script, script } from './script.ts'

/**
 * KEYS 4…: the candidates' engines. ARGV: whether to wait for members awaited, the lease, how long it lasts, the limit, where the first
 * candidate is in the caller's list; then per candidate how many streams are reported there, and which. Answers the place of the engine
 * taken, -1 where all are full, -2 while members are awaited.
 */
export const TAKE: Script = script(`
local isPatient, leaseId, leaseMs, limit, place = nextArg(), nextArg(), tonumber(nextArg()), tonumber(nextArg()), tonumber(nextArg())
if isLost then return answer(-2) end
beat()
if isPatient == '1' and redis.call('EXISTS', awaited) == 1 then
  redis.call('ZREMRANGEBYSCORE', awaited, '-inf', now)
  if redis.call('EXISTS', awaited) == 1 then return answer(-2) end
end
for n = 4, #KEYS do
  local key = KEYS[n]
  local fields = redis.call('HGETALL', key)
  local load, streams = 0, {}
  local isOurs = false
  for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    local isLive = isAlive(ownerOf(field, value))
    if string.sub(field, 1, 2) == 'l:' then
      isLive = isLive and dueOf(value) >= now
      isOurs = isOurs or (isLive and field == 'l:' .. leaseId)
    elseif isLive then
      streams[field] = true
    end
    if isLive then load = load + 1 else redis.call('HDEL', key, field) end
  end
  for _ = 1, tonumber(nextArg()) do
    local field = 's:' .. nextArg()
    if not streams[field] then
      streams[field] = true
      load = load + 1
    end
  end
  if load < limit or isOurs then
    redis.call('HSET', key, 'l:' .. leaseId, string.format('%.17g', now + leaseMs) .. ' ' .. me)
    redis.call('PEXPIRE', key, math.ceil(math.max(DAY, 2 * leaseMs)))
    seq = redis.call('HINCRBY', fleet, 'seq', 1)
    return answer(place + n - 4)
  end
end
return answer(-1)
`)

/**
 * KEYS 4-5: the engine, and the one on which the stream had a slot. ARGV: the channel, the stream, the lease or nothing. Answers whether
 * there was such a lease. A client library may send a command again whose answer it lost, so a lease that has become this stream is one. A server that lost
 * its memory cannot tell, and believes us.
 */
export const PUT_STREAM: Script = script(`
local channel, streamField, leaseField = nextArg(), 's:' .. nextArg(), nextArg()
if leaseField ~= '' and not isLost then
  leaseField = 'l:' .. leaseField
  local lease = redis.call('HGET', KEYS[4], leaseField)
  local isThere = lease and dueOf(lease) >= now
  if not isThere and redis.call('HGET', KEYS[4], streamField) ~= me then
    beat()
    return answer(0)
  end
  redis.call('HDEL', KEYS[4], leaseField)
end
beat()
redis.call('HSET', KEYS[4], streamField, me)
redis.call('PEXPIRE', KEYS[4], DAY)
if KEYS[5] ~= KEYS[4] and redis.call('HGET', KEYS[5], streamField) == me then
  redis.call('HDEL', KEYS[5], streamField)
  tellFreed(channel)
end
return answer(1)
`)

/** KEYS 4…: engines. ARGV: the channel, and per engine the field to be removed where it is ours. */
export const RELEASE: Script = script(`
local channel = nextArg()
beat()
local freed = 0
for n = 4, #KEYS do
  local field = nextArg()
  local value = redis.call('HGET', KEYS[n], field)
  if value and ownerOf(field, value) == me then freed = freed + redis.call('HDEL', KEYS[n], field) end
end
if freed > 0 then tellFreed(channel) end
return answer(freed)
`)

/** KEYS 4…: engines on which we may hold slots. ARGV: the channel, whether entries of ours are left in the journal. */
export const LEAVE: Script = script(`
local channel, hasEntries = nextArg(), nextArg()
for n = 4, #KEYS do
  local fields = redis.call('HGETALL', KEYS[n])
  for i = 1, #fields, 2 do
    if ownerOf(fields[i], fields[i + 1]) == me then redis.call('HDEL', KEYS[n], fields[i]) end
  end
end
redis.call('ZREM', awaited, me)
if hasEntries == '1' then redis.call('ZADD', members, now, me) else redis.call('ZREM', members, me) end
bumpVersion()
tellFreed(channel)
return answer(1)
`)
