/**
 * The state machine of `internal/breaker/machine.ts` and `window.ts` once more, in Lua, step by step: same names, same
 * order, so that the two can be read side by side. Works on the global `state`; reads and writes no key.
 *
 * Times are milliseconds, kept as `%.17g`: a double comes back as it was. An era is the next number or the microseconds
 * of the clock, whichever is larger: where the key was lost, no era is ever given out twice.
 */
export const machine = `
local maxMillis = 2147483647
local bucketCount = 10
local maxGroups = 64

local state

local function enter(mode, reason, decidedBy)
  state = {
    mode = mode,
    reason = reason,
    decidedBy = decidedBy or { 0, 0, 0 },
    era = math.max(state.era + 1, math.floor(now * 1000)),
    openings = state.openings,
    lastFailure = state.lastFailure,
    ring = '',
    buckets = {},
    streak = 0,
    groups = {},
    openUntil = 0,
    probes = {},
    probed = { 0, 0, 0 },
    lastProbe = 0,
    isolations = {},
    changed = true,
    entered = true
  }
end

local function close(reason, decidedBy)
  enter('Closed', reason, decidedBy)
  state.openings = 0
end

local function openFor(retryAfter)
  local delays = settings.openMillis
  local delay = delays[math.min(state.openings + 1, #delays)] or 0
  return math.min(maxMillis, math.max(delay, math.min(retryAfter, settings.retryAfterCapMillis)))
end

local function open(from, reason, decidedBy, retryAfter)
  local openUntil = from + openFor(retryAfter)
  local openings = state.openings + 1
  enter('Open', reason, decidedBy)
  state.openUntil = openUntil
  state.openings = openings
end

local function isFailure(code) return code == 'f' or code == 'F' end
local function isSlow(code) return code == 'S' or code == 'F' end

local function bucketId(time) return math.floor(time * bucketCount / settings.window.millis) end

-- A bucket is { id, calls, failures, slow }.
local function currentBuckets()
  local oldest = bucketId(now) - bucketCount + 1
  local kept = {}
  for _, bucket in ipairs(state.buckets) do
    if bucket[1] >= oldest then table.insert(kept, bucket) end
  end
  return kept
end

local function windowCounts()
  if settings.window.kind == 'calls' then
    local ring = state.ring
    local _, failures = string.gsub(ring, '[fF]', '')
    local _, slow = string.gsub(ring, '[SF]', '')
    return { #ring, failures, slow }
  end
  local counts = { 0, 0, 0 }
  for _, bucket in ipairs(currentBuckets()) do
    for i = 1, 3 do counts[i] = counts[i] + bucket[i + 1] end
  end
  return counts
end

local function addToWindow(code)
  if settings.window.kind == 'calls' then
    state.ring = string.sub(state.ring .. code, -settings.window.size)
    state.buckets = {}
    return
  end
  local kept = currentBuckets()
  local id = bucketId(now)
  local last = kept[#kept]
  if not last or last[1] < id then
    last = { id, 0, 0, 0 }
    table.insert(kept, last)
  end
  last[2] = last[2] + 1
  if isFailure(code) then last[3] = last[3] + 1 end
  if isSlow(code) then last[4] = last[4] + 1 end
  state.buckets = kept
  state.ring = ''
end

local function withoutLapsed()
  local left = {}
  for _, probe in ipairs(state.probes) do
    if now < probe[2] then
      table.insert(left, probe)
    else
      state.lastProbe = math.max(state.lastProbe, probe[2])
    end
  end
  state.probes = left
end

local function settle()
  if state.mode == 'Open' and now >= state.openUntil then
    enter('HalfOpen', 'time is up')
    state.lastProbe = now
    return
  end
  if state.mode ~= 'HalfOpen' then return end
  withoutLapsed()
  local idleUntil = state.lastProbe + settings.halfOpenMillis
  if settings.halfOpenMillis == 0 or #state.probes > 0 or now < idleUntil then return end
  if settings.halfOpenBecomes == 'closed' then return close('no probe came', state.probed) end
  open(idleUntil, 'no probe came', state.probed, 0)
  settle()
end

local function hasProbe()
  return #state.probes < settings.probeConcurrency and state.probed[1] + #state.probes < settings.probes
end

-- How long a rejected call had better wait; nil where nobody knows, or nothing is in its way.
local function wait()
  if state.mode == 'Open' then return state.openUntil - now end
  if state.mode ~= 'HalfOpen' or hasProbe() then return nil end
  local first = math.huge
  for _, probe in ipairs(state.probes) do first = math.min(first, probe[2]) end
  return first - now
end

local function admit(token)
  if state.mode ~= 'Closed' then settle() end
  if state.mode == 'Closed' then return 'admitted' end
  if state.mode ~= 'HalfOpen' or not hasProbe() then return 'rejected' end
  table.insert(state.probes, { token, now + settings.leaseMillis })
  state.lastProbe = now
  state.changed = true
  return 'probe'
end

local function tripped()
  if settings.consecutive > 0 and state.streak >= settings.consecutive then return 'consecutive' end
  local counts = windowCounts()
  local calls, failures, slow = counts[1], counts[2], counts[3]
  if calls < settings.minimumCalls then return nil end
  if failures > 0 and failures / calls >= settings.failureRate then return 'failure rate' end
  if slow > 0 and slow / calls >= settings.slowRate then return 'slow rate' end
  return nil
end

-- A detail is { group or false, retryAfter, cause or false }, of a failure.
local function count(code, detail)
  local failed = isFailure(code)
  local windowed = settings.failureRate <= 1 or settings.slowRate <= 1
  if not failed and state.streak == 0 and not windowed then return false end
  local group = failed and detail[1]
  local again = false
  if group then
    for _, known in ipairs(state.groups) do again = again or known == group end
  end
  if windowed and not (again and settings.groupWindow) then addToWindow(code) end
  if not failed then
    state.streak = 0
  elseif again and settings.groupStreak then
    state.streak = math.max(1, state.streak)
  else
    state.streak = state.streak + 1
  end
  if group and not again then
    table.insert(state.groups, group)
    if #state.groups > maxGroups then table.remove(state.groups, 1) end
  end
  if failed then state.lastFailure = detail[3] end
  state.changed = true
  return true
end

-- 'mayOpen' is asked only where the circuit would open.
local function recordClosed(code, detail, mayOpen)
  if not count(code, detail) then return end
  local reason = tripped()
  if reason and mayOpen() then open(now, reason, windowCounts(), isFailure(code) and detail[2] or 0) end
end

local function takeProbe(token)
  for i, probe in ipairs(state.probes) do
    if probe[1] == token then
      table.remove(state.probes, i)
      state.lastProbe = now
      state.changed = true
      return true
    end
  end
  return false
end

local function recordProbe(token, code, detail)
  settle()
  if state.mode ~= 'HalfOpen' or not takeProbe(token) then return false end
  local failed = isFailure(code) or isSlow(code)
  state.probed = {
    state.probed[1] + 1,
    state.probed[2] + (failed and 1 or 0),
    state.probed[3] + (isSlow(code) and 1 or 0)
  }
  if isFailure(code) then state.lastFailure = detail[3] end
  if state.probed[2] > settings.probeFailures then
    open(now, 'probe failed', state.probed, isFailure(code) and detail[2] or 0)
  elseif state.probed[1] >= settings.probes then
    close('probes succeeded', state.probed)
  end
  return true
end

local function dropIsolation(test)
  local left = {}
  for _, holder in ipairs(state.isolations) do
    if not test(holder) then table.insert(left, holder) end
  end
  if #left == #state.isolations then return end
  state.isolations = left
  state.changed = true
  if state.mode == 'Isolated' and #left == 0 then close('released') end
end

local function isolate(holder, expires)
  for _, other in ipairs(state.isolations) do
    if other[1] == holder then
      other[2] = expires
      state.changed = true
      return
    end
  end
  local isolations = state.isolations
  table.insert(isolations, { holder, expires })
  if state.mode ~= 'Isolated' then enter('Isolated', 'isolated') end
  state.isolations = isolations
  state.changed = true
end
`
