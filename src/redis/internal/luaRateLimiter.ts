/**
 * The generic cell rate algorithm of `internal/gcra.ts` once more, in Lua. KEYS: the key's timestamp. ARGV: operation,
 * limit, milliseconds it is spread over, burst, cost, and for `take` the longest wait, for `giveBack` the reservation.
 * Times are the server's, in milliseconds, kept as `%.17g`: a double comes back as it was.
 */
export const script = `
local operation = ARGV[1]
local limit, per, burst, cost = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local slack = 1e-3
local time = redis.call('TIME')
-- From the year 2026 on: the fewer digits before the point, the more behind it.
local now = (tonumber(time[1]) - 1767225600) * 1000 + tonumber(time[2]) / 1000

local function span(n) return per * n / limit end
local function exact(n) return string.format('%.17g', n) end

local function write(tat)
  -- Once it lies in the past it says no more than a missing key.
  redis.call('SET', KEYS[1], exact(tat), 'PX', string.format('%.0f', math.max(1, math.ceil(tat - now) + 1)))
end

local tat = tonumber(redis.call('GET', KEYS[1]) or now)

if operation == 'giveBack' then
  if tat == tonumber(ARGV[6]) then write(tat - span(cost)) end
  return {}
end

local maxWait = tonumber(ARGV[6])
-- A clock that was set back must not lock anybody out for longer than those before are worth.
local paid = math.max(tat, now) + span(cost)
local early = paid - span(burst) - now
local wait = early <= slack and 0 or early
if wait <= maxWait + slack then
  write(paid)
  return { 'granted', exact(wait), exact(paid) }
end
return { 'limited', exact(wait), '' }
`
