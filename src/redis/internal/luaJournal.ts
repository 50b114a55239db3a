/**
 * Logs of a journal: a list for each, whose first element names its present life, and one sorted set that tells when each
 * was last used. KEYS: the set, the log. ARGV: operation, the log's name in the set, milliseconds it is kept for (0 for
 * ever); for `open` how many are kept (0 for any number), for `append` the life and the records. All keys begin alike, up to
 * that name, and lie in one slot of a cluster.
 */
export const script = `
local order, log = KEYS[1], KEYS[2]
local operation, name, maxAge = ARGV[1], ARGV[2], tonumber(ARGV[3])
local base = string.sub(log, 1, #log - #name)

if operation == 'remove' then
  redis.call('ZREM', order, name)
  return redis.call('DEL', log)
end

-- Microseconds: exact, as a double is up to 2^53, and hardly ever the same twice.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function forget(names)
  for _, other in ipairs(names) do
    redis.call('ZREM', order, other)
    redis.call('DEL', base .. other)
  end
end

local function use()
  redis.call('ZADD', order, string.format('%.0f', now), name)
  if maxAge > 0 then
    redis.call('PEXPIRE', log, ARGV[3])
    redis.call('PEXPIRE', order, ARGV[3])
  end
end

if operation == 'append' then
  if redis.call('LINDEX', log, 0) ~= ARGV[4] then return 0 end
  -- Lua takes only so many arguments at once.
  for first = 5, #ARGV, 1000 do
    redis.call('RPUSH', log, unpack(ARGV, first, math.min(first + 999, #ARGV)))
  end
  use()
  return 1
end

-- A few at a time: whoever opens the next log removes more.
local atOnce = 100
local maxLogs = tonumber(ARGV[4])
if maxAge > 0 then
  local oldest = string.format('%.0f', now - maxAge * 1000)
  forget(redis.call('ZRANGEBYSCORE', order, '-inf', oldest, 'LIMIT', 0, atOnce))
end
redis.call('ZREM', order, name)
local excess = maxLogs > 0 and redis.call('ZCARD', order) + 1 - maxLogs or 0
if excess > 0 then
  forget(redis.call('ZRANGE', order, 0, math.min(excess, atOnce) - 1))
end
if redis.call('EXISTS', log) == 0 then
  redis.call('RPUSH', log, string.format('%.0f', now))
end
use()
return redis.call('LRANGE', log, 0, -1)
`
