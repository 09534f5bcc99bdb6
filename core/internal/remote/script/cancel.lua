-- cancel: entry is given up, whatever has become of it: out of the queue if it
-- waits, released if it owns the lease.
--   KEYS   lease, queue, fence
--   ARGV   'C', entry, unused, unused, fencing tokens for the next owner,
--          unused
-- Replies
--   released                 it owned the lease
--   left                     it was in the queue
--   absent                   it was neither
ops.C = function(lease, queue, fence, entry, _, _, n)
  local owner = redis.call('GET', lease)
  if owner and id(owner) == id(entry) then
    pass(lease, queue, fence, n, meta(owner), nil, 0)
    return {'released'}
  end
  local reply = {'absent'}
  if redis.call('ZREM', queue, entry) == 1 then reply[1] = 'left' end
  if not owner and redis.call('EXISTS', queue) == 1 then
    pass(lease, queue, fence, n, '', nil, 0) -- reap for an owner that expired
  end
  return reply
end
