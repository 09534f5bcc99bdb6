-- What operations share, beyond the prelude.

-- How long a queue outlives the last sign of its waiters, ms. Longer than the
-- longest interval between two polls of a waiter.
local QUEUE_TTL = 60000

local ops = {}

local function int(n) return format('%.0f', n) end
local function id(entry) return sub(entry, 3, 50) end
local function flag(entry) return sub(entry, 1, 1) end
local function broken(entry) return sub(entry, 2, 2) == 'b' end
local function ttl(entry) return int(tonumber(sub(entry, 51, 58))) end
local function want(entry) return tonumber(sub(entry, 59, 63)) end
local function meta(entry) return sub(entry, 64) end

-- channel is where an entry's process hears of a lease. Its name begins with
-- ARGV[1]; on a cluster as the lease's does, with the bucket's tag.
local function channel(lease, entry)
  local base = ARGV[1]
  if SHARDED then base = sub(lease, 1, string.find(lease, '}:', 1, true) + 1) .. 'w:' end
  return base .. sub(entry, 3, 34)
end

-- is_entry tells whether a member of a queue has an entry's shape.
local function is_entry(entry)
  return #entry >= 63 and string.find(sub(entry, 51, 63), '^%d+$') ~= nil and
    tonumber(sub(entry, 51, 58)) > 0 and want(entry) > 0
end

-- write makes entry the owner, with its own time to live.
local function write(lease, entry, waiting)
  local f = '0'
  if waiting > 0 then f = '1' end
  local written = f .. sub(entry, 2)
  call('SET', lease, written, 'PX', ttl(entry))
  return written
end

-- give_back returns the tokens after `used` of those up to `reserved`, if nobody
-- has reserved after it: else the counter runs ahead of the clock, and would
-- fall when the server loses it. A release does not fail for it.
local function give_back(fence, used, reserved)
  if used ~= reserved and try('GET', fence) == reserved then
    try('SET', fence, used)
  end
end

-- ticket_of returns the ticket of an entry in the queue, or nil.
local function ticket_of(queue, entry)
  local score = call('ZSCORE', queue, entry)
  if score then return tonumber(score) end
end

-- enqueue adds an entry at the end of the queue, unless it is there, and
-- returns its ticket and whether it was added. The ticket is the server's time
-- in microseconds, or one more than the last one's if the clock has not moved
-- on or was set back.
local function enqueue(queue, entry)
  local ticket = ticket_of(queue, entry)
  local added = not ticket
  if added then
    ticket = now()
    local tail = call('ZRANGE', queue, -1, -1, 'WITHSCORES')
    if tail[2] and tonumber(tail[2]) >= ticket then ticket = tonumber(tail[2]) + 1 end
    call('ZADD', queue, int(ticket), entry)
  end
  call('PEXPIRE', queue, QUEUE_TTL)
  return ticket, added
end

-- waiting is the reply for an entry in the queue. Its process may believe that it
-- listens, and do so at another server than this one: then it is told.
local function waiting(lease, queue, entry, ticket, owner)
  local rank = call('ZRANK', queue, entry) or 0
  local listening = call('PUBSUB', NUMSUB, channel(lease, entry))[2]
  return {WAITING, ticket, call('PTTL', lease), rank + 1, call('ZCARD', queue), owner, listening}
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
-- Tokens are reserved before any other write: if the counter is at its end, or is
-- none, or if the server is out of memory and refuses the write, it fails, and
-- nobody has lost the place in line.
-- If nobody is subscribed, the waiter's process is gone (or its connection, and
-- then it asks again as soon as it is back). PUBLISH's own count would not do:
-- it has those in it who subscribed to a pattern, such as an operator's console.
local function pass(lease, queue, fence, from, own, behind)
  local left = call('ZCARD', queue)
  while left > 0 do
    local head = call('ZRANGE', queue, 0, 0, 'WITHSCORES')
    local entry = head[1]
    left = left - 1
    if not is_entry(entry) then
      call('ZREM', queue, entry) -- it must not be in the way for ever
    else
      local mine = own and id(own) == id(entry)
      local to = channel(lease, entry)
      if mine or call('PUBSUB', NUMSUB, to)[2] > 0 then
        local first, last = reserve(fence, want(entry))
        local others = left
        if not mine then others = left + behind end
        local written = write(lease, entry, others)
        call('ZREM', queue, entry)
        if mine then return 'own', first, last, left end
        call(PUBLISH, to, table.concat(
          {'grant', int(tonumber(head[2])), int(first), int(last), int(others), id(entry), from, lease}, '\n'))
        return 'passed', written
      end
      call('ZREM', queue, entry)
    end
  end
  if own then
    local first, last = reserve(fence, want(own))
    write(lease, own, 0)
    return 'own', first, last, 0
  end
  call('DEL', lease)
  return 'free'
end

-- let_go is pass for a lease that its owner gives up, or for one that has expired:
-- owner is what was found in its place, or false. Whatever fails, the owner does not
-- keep it. Returns also
--   'failed'                        nobody could be granted it; the lease is deleted,
--                                   and those in line keep their places: they ask
--                                   again, and are told why
--
-- A server that is out of memory refuses a write that could need some only as a
-- script's first one. DEL needs none, and after it the first in line can be granted
-- the lease. Where DEL is refused, too (READONLY, MISCONF), the error is that one.
local function let_go(lease, queue, fence, owner, from, own, behind)
  local ok, to, a, b, others = pcall(pass, lease, queue, fence, from, own, behind)
  if ok then return to, a, b, others end
  if call('GET', lease) == owner then
    call('DEL', lease)
    ok, to, a, b, others = pcall(pass, lease, queue, fence, from, own, behind)
    if ok then return to, a, b, others end
  end
  return 'failed'
end
