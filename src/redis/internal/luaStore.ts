/**
 * The script of the circuit breaker: reads a breaker's state, takes one step, writes it back, and answers with what the
 * client has to know. Everything in one script, so that a breaker's step is atomic.
 *
 * The server's own clock decides, and the answer carries durations only, so that no client's clock matters. A clock of
 * the server that was set back moves all moments that were noted with it.
 */
import { machine } from "./luaMachine.ts"

/** State (a hash), leases of probes, votes and isolations (sorted sets by time). */
export const numberOfKeys = 4

const prelude = `
local operation = ARGV[1]
local context = cjson.decode(ARGV[2])
local settings = context.settings
-- Empty but in tests.
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
end

-- A number as Redis prints it has lost its digits by then.
local function exact(number) return string.format('%.17g', number) end
local function whole(number) return string.format('%.0f', number) end
`

const keys = `
local function scored(key)
  local flat = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  local all = {}
  for i = 1, #flat, 2 do table.insert(all, { flat[i], tonumber(flat[i + 1]) }) end
  return all
end

local function three(text)
  local a, b, c = string.match(text or '', '^(%d+),(%d+),(%d+)$')
  return { tonumber(a) or 0, tonumber(b) or 0, tonumber(c) or 0 }
end

-- None is '', and there is a sign before one that is empty itself.
local function optional(text) return text and string.sub(text, 1, 1) == '=' and string.sub(text, 2) end

local function setBack(by)
  state.openUntil = state.openUntil - by
  state.lastProbe = state.lastProbe - by
  for _, probe in ipairs(state.probes) do probe[2] = probe[2] - by end
  for _, holder in ipairs(state.isolations) do holder[2] = holder[2] - by end
  if settings.window.kind == 'time' then
    local buckets = math.ceil(by * bucketCount / settings.window.millis)
    for _, bucket in ipairs(state.buckets) do bucket[1] = bucket[1] - buckets end
  end
  redis.call('DEL', KEYS[3])
  state.changed = true
end

local function read()
  local flat = redis.call('HGETALL', KEYS[1])
  local stored = {}
  for i = 1, #flat, 2 do stored[flat[i]] = flat[i + 1] end
  state = { era = 0, openings = 0, lastFailure = false }
  if not stored.era then
    enter('Closed', 'reset')
    state.isolations = scored(KEYS[4])
    if #state.isolations > 0 then
      local isolations = state.isolations
      enter('Isolated', 'isolated')
      state.isolations = isolations
    end
  else
    local mode = stored.mode
    state = {
      mode = mode,
      reason = stored.reason,
      decidedBy = three(stored.decidedBy),
      era = tonumber(stored.era),
      openings = tonumber(stored.openings),
      lastFailure = optional(stored.lastFailure),
      ring = stored.ring,
      buckets = {},
      streak = tonumber(stored.streak),
      groups = cjson.decode(stored.groups),
      openUntil = tonumber(stored.openUntil),
      probes = mode == 'HalfOpen' and scored(KEYS[2]) or {},
      probed = three(stored.probed),
      lastProbe = tonumber(stored.lastProbe),
      isolations = mode == 'Isolated' and scored(KEYS[4]) or {},
      changed = false
    }
    for id, calls, failures, slow in string.gmatch(stored.buckets, '(-?%d+),(%d+),(%d+),(%d+);') do
      table.insert(state.buckets, { tonumber(id), tonumber(calls), tonumber(failures), tonumber(slow) })
    end
    local seen = tonumber(stored.seen)
    if now < seen then setBack(seen - now) end
  end
  dropIsolation(function(holder) return holder[2] <= now end)
  if state.mode == 'Isolated' and #state.isolations == 0 then close('released') end
end

local function keep(key, members)
  redis.call('DEL', key)
  for _, member in ipairs(members) do redis.call('ZADD', key, exact(member[2]), member[1]) end
end

-- A key outlives what it tells of by the idle time.
local function expire()
  local needed = 0
  if state.mode == 'Open' then needed = math.max(0, state.openUntil - now) end
  if state.mode == 'HalfOpen' then needed = settings.leaseMillis end
  for _, holder in ipairs(state.isolations) do needed = math.max(needed, holder[2] - now) end
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, whole(math.ceil(needed + context.idleMillis))) end
end

local function write()
  local buckets = ''
  for _, bucket in ipairs(state.buckets) do
    buckets = buckets .. string.format('%.0f,%d,%d,%d;', bucket[1], bucket[2], bucket[3], bucket[4])
  end
  redis.call(
    'HSET', KEYS[1],
    'mode', state.mode,
    'reason', state.reason,
    'decidedBy', table.concat(state.decidedBy, ','),
    'era', whole(state.era),
    'openings', state.openings,
    'lastFailure', state.lastFailure and '=' .. state.lastFailure or '',
    'ring', state.ring,
    'buckets', buckets,
    'streak', state.streak,
    'groups', cjson.encode(state.groups),
    'openUntil', exact(state.openUntil),
    'probed', table.concat(state.probed, ','),
    'lastProbe', exact(state.lastProbe),
    'seen', exact(now)
  )
  keep(KEYS[2], state.probes)
  keep(KEYS[4], state.isolations)
  if state.entered then redis.call('DEL', KEYS[3]) end
  expire()
end

local function vote()
  redis.call('ZADD', KEYS[3], exact(now), context.instance)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', exact(now - context.quorumMillis))
end

-- Trouble that only one instance has is not the dependency's.
local function isQuorum() return context.quorum <= 1 or redis.call('ZCARD', KEYS[3]) >= context.quorum end
`

const operations = `
-- 'touch': nothing to write, but somebody uses it.
local verdict, touch = 'none', false
read()

if operation == 'admit' then
  verdict = admit(ARGV[4])
  -- Who tries whether Redis is back has to know whether it can be written to.
  if ARGV[5] == '1' and verdict ~= 'rejected' then state.changed = true end
elseif operation == 'look' then
  settle()
  if state.mode == 'Closed' or (state.mode == 'HalfOpen' and hasProbe()) then
    verdict = 'admitted'
  else
    verdict = 'rejected'
  end
elseif operation == 'record' then
  verdict = 'stale'
  local details, failure = cjson.decode(ARGV[6]), 0
  for code in string.gmatch(ARGV[5], '.') do
    if state.era ~= tonumber(ARGV[4]) or state.mode ~= 'Closed' then break end
    if isFailure(code) then failure = failure + 1 end
    if context.quorum > 1 and code ~= 's' then vote() end
    recordClosed(code, details[failure], isQuorum)
    verdict, touch = 'taken', true
  end
elseif operation == 'probe' then
  local taken = state.era == tonumber(ARGV[4]) and recordProbe(ARGV[5], ARGV[6], cjson.decode(ARGV[7]))
  verdict = taken and 'taken' or 'stale'
elseif operation == 'free' then
  -- A call that never heard whether it was let through knows no era; its token is unique.
  verdict = 'stale'
  if ARGV[5] == '' or state.era == tonumber(ARGV[5]) then
    settle()
    if state.mode == 'HalfOpen' and takeProbe(ARGV[4]) then verdict = 'taken' end
  end
elseif operation == 'isolate' then
  isolate(ARGV[4], now + tonumber(ARGV[5]))
elseif operation == 'release' then
  dropIsolation(function(holder) return holder[1] == ARGV[4] end)
elseif operation == 'reset' then
  if state.mode ~= 'Isolated' then close('reset') end
end

if operation ~= 'look' then
  if state.changed then write() elseif touch then expire() end
end

local window = state.mode == 'HalfOpen' and state.probed or windowCounts()
local waiting = wait()
return {
  verdict,
  state.mode,
  whole(state.era),
  waiting and exact(waiting) or '',
  state.reason,
  table.concat(state.decidedBy, ','),
  state.lastFailure and '=' .. state.lastFailure or '',
  table.concat(window, ','),
  whole(state.streak),
  whole(state.openings),
  whole(#state.probes),
  whole(#state.isolations)
}
`

export const script = `${prelude}${machine}${keys}${operations}`
