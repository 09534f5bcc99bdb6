-- acquire: entry asks for the lease, or asks again: doing it twice is as good
-- as once.
--   KEYS   lease, queue, fence
--   ARGV   'A', entry, cap of the queue or '0' if it does not wait in line
-- Replies
--   GRANTED, first token, last token, waiting
--   WAITING, ticket, lease's PTTL, position, waiting, owner, how many listen on the
--     channel of entry's process
--   HELD, lease's PTTL, waiting, owner     (not waiting)
--   FULL, lease's PTTL, waiting, owner     (the queue is at its cap)
--   BROKEN                                 (it owns the lease, which is broken)
-- An entry that is in the queue already never finds it full.
--
-- main.lua has begun it: owner is the one that it found; false if there was none
-- and entry was written, but others are in line; or an error.
ops.acquire = function(lease, queue, fence, entry, cap, owner)
  if not owner then
    -- An owner has expired, and those in line go first.
    local ok, to, a, b, others = pcall(pass, lease, queue, fence, '', entry, 0)
    if not ok then
      call('DEL', lease)
      error(to, 0)
    end
    if to == 'own' then return {GRANTED, a, b, others} end
    owner = a
  elseif type(owner) == 'table' then
    -- Who holds the lease or waits can be answered also when memory is short.
    local refusal, found = owner, false
    if string.find(refusal.err, 'syntax error', 1, true) then
      error('ERR SET takes no NX with GET here: Redis 7.0 or newer is needed', 0)
    end
    if string.find(refusal.err, 'OOM', 1, true) then found = call('GET', lease) end
    if not found then error(refusal, 0) end
    owner = found
  end
  if id(owner) == id(entry) then
    if broken(owner) then return BROKEN end
    -- The reply or the grant was lost. Its own time to live: this only ever
    -- prolongs the lease.
    call('PEXPIRE', lease, ttl(entry))
    local first, last = reserve(fence, want(entry))
    local others = 0
    if flag(owner) == '1' then others = call('ZCARD', queue) end
    return {GRANTED, first, last, others}
  end
  if cap == '0' then
    return {HELD, call('PTTL', lease), call('ZCARD', queue), owner}
  end
  if not ticket_of(queue, entry) and call('ZCARD', queue) >= tonumber(cap) then
    return {FULL, call('PTTL', lease), call('ZCARD', queue), owner}
  end
  local ticket, added = enqueue(queue, entry)
  if added then
    -- Safe only because the lease was found in this very operation: on a
    -- missing key SETRANGE would make a lease without expiry.
    call('SETRANGE', lease, 0, '1')
  end
  -- Again at each poll: the last note may be lost, and a process that passes the
  -- lease on among its own would go on for as long as it does not know.
  call(PUBLISH, channel(lease, owner), table.concat({'note', id(owner), lease}, '\n'))
  return waiting(lease, queue, entry, ticket, owner)
end
