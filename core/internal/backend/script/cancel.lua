-- cancel: entry is given up, whatever has become of it: out of the queue if it
-- waits, released if it owns the lease.
--   KEYS   lease, queue, fence
--   ARGV   'C', entry
-- Replies
--   RELEASED                 it owned the lease
--   LEFT                     it was in the queue
--   ABSENT                   it was neither
ops.cancel = function(lease, queue, fence, entry)
  local owner = call('GET', lease)
  if owner and id(owner) == id(entry) then
    let_go(lease, queue, fence, owner, meta(owner), nil, 0)
    return RELEASED
  end
  local status = ABSENT
  if call('ZREM', queue, entry) == 1 then status = LEFT end
  if not owner and call('EXISTS', queue) == 1 then
    let_go(lease, queue, fence, owner, '', nil, 0) -- reap for an owner that expired
  end
  return status
end
