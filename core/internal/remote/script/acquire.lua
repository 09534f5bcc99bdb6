-- acquire: entry asks for the lease, or asks again: doing it twice is as good
-- as once.
--   KEYS   lease, queue, fence
--   ARGV   'A', entry, '1' to wait in line or '0', cap of the queue,
--          fencing tokens wanted, unused
-- Replies
--   granted, first token, last token, waiting
--   waiting, ticket, lease's PTTL, position, waiting, owner
--   held, lease's PTTL, waiting, owner     (not waiting)
--   full, lease's PTTL, waiting, owner     (the queue is at its cap)
-- An entry that is in the queue already never finds it full.
ops.A = function(lease, queue, fence, entry, wait, cap, n)
  local owner = redis.call('GET', lease)
  if owner and id(owner) == id(entry) then
    -- The reply or the grant was lost. Its own time to live: this only ever
    -- prolongs the lease.
    redis.call('PEXPIRE', lease, int(ttl(entry)))
    local first, last = reserve(fence, n)
    local others = 0
    if flag(owner) == '1' then others = redis.call('ZCARD', queue) end
    return {'granted', first, last, int(others)}
  end
  if not owner then
    if redis.call('EXISTS', queue) == 0 then
      local first, last = reserve(fence, n)
      write(lease, entry, 0)
      return {'granted', first, last, '0'}
    end
    -- Expired with others in line: they go first.
    local to, a, b, others = pass(lease, queue, fence, n, '', entry, 0)
    if to == 'own' then return {'granted', a, b, others} end
    owner = a
  end
  if wait == '0' then
    return {'held', int(redis.call('PTTL', lease)), int(redis.call('ZCARD', queue)), owner}
  end
  if not ticket_of(queue, entry) and redis.call('ZCARD', queue) >= tonumber(cap) then
    return {'full', int(redis.call('PTTL', lease)), int(redis.call('ZCARD', queue)), owner}
  end
  local ticket, added = enqueue(queue, entry)
  if added then
    -- Safe only because the lease was found in this very operation: on a
    -- missing key SETRANGE would make a lease without expiry.
    redis.call('SETRANGE', lease, 0, '1')
    redis.call('PUBLISH', channel(owner), table.concat({'note', id(owner), lease}, '\n'))
  end
  return waiting(lease, queue, entry, ticket, owner)
end
