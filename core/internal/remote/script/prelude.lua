-- What the operations share. The files of this folder are joined into one
-- script (prelude, the operations, main), because a script call costs more
-- than what it does: several operations can travel in one.
--
-- An entry is, at fixed places (see entry.go):
--   1      flag: '1' if others wait
--   2      mode: 'x', exclusive
--   3-34   process, 35-50 counter: together the identity
--   51-58  time to live, ms
--   59-    metadata, for people
--
-- The invariant that every operation keeps:
--   lease present and queue not empty  =>  the lease's flag is '1'.

local prefix = ARGV[1]

-- How long a queue outlives the last sign of its waiters, ms. Longer than the
-- longest interval between two polls of a waiter.
local QUEUE_TTL = 60000

-- Lua's numbers are doubles: exact up to here (2^53).
local MAX_INTEGER = 9007199254740992

local ops = {}

local function id(entry) return string.sub(entry, 3, 50) end
local function flag(entry) return string.sub(entry, 1, 1) end
local function ttl(entry) return tonumber(string.sub(entry, 51, 58)) end
local function meta(entry) return string.sub(entry, 59) end
local function channel(entry) return prefix .. ':w:' .. string.sub(entry, 3, 34) end

-- is_entry tells whether a member of a queue has an entry's shape.
local function is_entry(entry)
  return #entry >= 58 and string.find(string.sub(entry, 51, 58), '^%d+$') ~= nil and ttl(entry) > 0
end

-- Integers are formatted explicitly: Lua's own would write 1.76e+15.
local function int(n) return string.format('%.0f', n) end

-- now is the server's time in microseconds, read at most once per call.
local clock
local function now()
  if not clock then
    local t = redis.call('TIME')
    clock = tonumber(t[1]) * 1000000 + tonumber(t[2])
  end
  return clock
end

-- reserve takes n fencing tokens and returns the first and the last. They are
-- above every token of this bucket before, and, because the counter never
-- falls behind the clock, also above those of a counter that was lost.
--
-- It comes before all other writes of a grant: if the counter is at its end,
-- or is none, the operation fails and has changed nothing.
local function reserve(fence, n)
  local last = tonumber(redis.call('GET', fence) or '0') or 0
  local first = math.max(now(), last + 1)
  local final = first + (n - 1) -- without the brackets, 2^53 + 1 - 1 is 2^53 - 1
  if final >= MAX_INTEGER then
    error('fencing counter ' .. fence .. ' is beyond 2^53')
  end
  redis.call('SET', fence, int(final))
  return int(first), int(final)
end

-- write makes entry the owner, with its own time to live.
local function write(lease, entry, waiting)
  local f = '0'
  if waiting > 0 then f = '1' end
  local written = f .. string.sub(entry, 2)
  redis.call('SET', lease, written, 'PX', int(ttl(entry)))
  return written
end

-- give_back returns the tokens after `used` of a block that ends at `reserved`,
-- if nobody has reserved after it: else the counter runs ahead of the clock, and
-- would fall when the server loses it. A release does not fail for it.
local function give_back(fence, used, reserved)
  if used ~= reserved and redis.pcall('GET', fence) == reserved then
    redis.pcall('SET', fence, used)
  end
end

-- ticket_of returns the ticket of an entry in the queue, or nil.
local function ticket_of(queue, entry)
  local score = redis.call('ZSCORE', queue, entry)
  if score then return int(tonumber(score)) end
end

-- enqueue adds an entry at the end of the queue, unless it is there, and
-- returns its ticket and whether it was added. The ticket is the server's time
-- in microseconds, or one more than the last one's if the clock has not moved
-- on or was set back.
local function enqueue(queue, entry)
  local ticket = ticket_of(queue, entry)
  local added = not ticket
  if added then
    local t = now()
    local tail = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')
    if tail[2] and tonumber(tail[2]) >= t then t = tonumber(tail[2]) + 1 end
    ticket = int(t)
    redis.call('ZADD', queue, ticket, entry)
  end
  redis.call('PEXPIRE', queue, QUEUE_TTL)
  return ticket, added
end

-- waiting is the reply for an entry in the queue.
local function waiting(lease, queue, entry, ticket, owner)
  local rank = redis.call('ZRANK', queue, entry) or 0
  return {'waiting', ticket, int(redis.call('PTTL', lease)), int(rank + 1),
          int(redis.call('ZCARD', queue)), owner}
end

-- pass gives a lease that is free, or being released by its owner, to the
-- first in line who is there to hear of it. `from` is the last owner's
-- metadata. `own`, or nil, is the caller's entry: it stands in line, or after
-- all who do, and needs no message. `behind` is how many the caller will add to
-- the queue without a note to the new owner. Returns
--   'own', first, last, waiting     granted to `own`
--   'passed', entry as written      granted to another
--   'free'                          nobody was there; the lease is deleted
--
-- A server that is out of memory refuses a script's first write if it could need
-- memory. That is the counter's, and then nothing is lost.
-- If nobody is subscribed, the waiter's process is gone (or its connection, and
-- then it asks again as soon as it is back). PUBLISH's own count would not do:
-- it has those in it who subscribed to a pattern, such as an operator's console.
local function pass(lease, queue, fence, n, from, own, behind)
  local first, last
  local left = redis.call('ZCARD', queue)
  while left > 0 do
    local head = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
    local entry, ticket = head[1], int(tonumber(head[2]))
    left = left - 1
    if not is_entry(entry) then
      redis.call('ZREM', queue, entry) -- it must not be in the way for ever
    else
      if not first then first, last = reserve(fence, n) end
      local mine = own and id(own) == id(entry)
      local others = left
      if not mine then others = left + behind end
      local written = write(lease, entry, others)
      redis.call('ZREM', queue, entry)
      if mine then return 'own', first, last, int(left) end
      local to = channel(entry)
      if redis.call('PUBSUB', 'NUMSUB', to)[2] > 0 then
        redis.call('PUBLISH', to,
          table.concat({'grant', ticket, first, last, int(others), id(entry), from, lease}, '\n'))
        return 'passed', written
      end
    end
  end
  if own then
    if not first then first, last = reserve(fence, n) end
    write(lease, own, 0)
    return 'own', first, last, '0'
  end
  redis.call('DEL', lease)
  return 'free'
end
