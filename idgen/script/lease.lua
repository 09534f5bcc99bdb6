-- lease extends the lease of a worker number, or takes one.
--
-- KEYS[1]  a hash: the field layout, and for each worker that was ever used
--          <worker> -> "<ceiling> <expiry> <base> <owner>"; times are
--          milliseconds since 1970, by the clock of Redis; a returned worker has
--          the expiry 0
-- ARGV     1 layout  2 owner  3 the worker to extend, or ""  4 the base it was
--          taken with  5 how many workers there are  6 window  7 TTL  8 skew
--          9 floor; times in milliseconds
-- reply    {"layout", now, theirs}: nothing was done
--          {"extended", now, worker, ceiling}: IDs below the ceiling may be made
--          {"taken", now, worker, base}: none yet, and none below the base ever
--          {"none", now, how many are taken, when the first lease ends}
--          now in microseconds
--
-- Invariants. The ceiling is above the time of every ID that may be made with
-- the worker. A ceiling that is granted at t is at most t + window. A new holder
-- starts at its base, which is above the ceiling and, because grants that were
-- lost with the data of a failed server are in no ceiling, above now + window +
-- skew. It may make IDs once a ceiling above that is granted to it, which is
-- after skew. A lease that is over is not extended, whoever was its owner: a
-- later holder may be known only to the server whose data is lost. What is
-- extended is what the owner knows it has: a worker that it has taken anew by a
-- call whose reply was lost, or came late, has another base, and others may have
-- had it in between.
-- A repeated call changes nothing but times that move on anyway.
local clock = redis.call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local now = math.floor(micros / 1000)
local layout, owner, workers = ARGV[1], ARGV[2], tonumber(ARGV[5])
local window, ttl, skew, floor = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])

-- parse returns ceiling, expiry, base and owner of a worker.
local function parse(worker, text)
  if not text then return 0, 0, 0, '' end
  local ceiling, expiry, base, holder = string.match(text, '^(%d+) (%d+) (%d+) (%S*)$')
  if not ceiling then
    error('worker ' .. worker .. ' is not "<ceiling> <expiry> <base> <owner>"')
  end
  return tonumber(ceiling), tonumber(expiry), tonumber(base), holder
end

local function write(worker, ceiling, base)
  redis.call('HSET', KEYS[1], 'layout', layout, worker,
    string.format('%.0f %.0f %.0f %s', ceiling, now + ttl, base, owner))
end

local theirs = redis.call('HGET', KEYS[1], 'layout')
if theirs and theirs ~= layout then return {'layout', micros, theirs} end

if ARGV[3] ~= '' then
  local ceiling, expiry, base, holder = parse(ARGV[3], redis.call('HGET', KEYS[1], ARGV[3]))
  if holder == owner and base == tonumber(ARGV[4]) and expiry > now then
    ceiling = math.max(ceiling, now + window)
    write(ARGV[3], ceiling, base)
    return {'extended', micros, tonumber(ARGV[3]), ceiling}
  end
end

-- Of the free workers the one that can be used first; of several the lowest, so
-- that few are ever in use. An expiry that lies further ahead than any that is
-- written now is from before the clock was set back.
local used = {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do used[flat[i]] = flat[i + 1] end
local least = math.max(now + window + skew, floor)
local best, base, ends
local taken = 0
for worker = 0, workers - 1 do
  local ceiling, expiry, _, holder = parse(worker, used[tostring(worker)])
  if holder == owner or expiry <= now or expiry > now + ttl + skew then
    ceiling = math.max(ceiling, least)
    if not best or ceiling < base then best, base = worker, ceiling end
  else
    taken = taken + 1
    ends = math.min(ends or expiry, expiry)
  end
end
if not best then return {'none', micros, taken, ends} end
write(best, base, base)
return {'taken', micros, best, base}
