-- break: an operator takes the lease from its owner.
--   KEYS   lease, queue, fence
--   ARGV   'B', identity of the owner, '1' if the lease is to be taken at once
-- Replies
--   BROKEN, lease's PTTL, waiting, owner as it was
--                            it is broken, perhaps since long: it stays the owner's
--                            until its release or its expiry, and is not prolonged.
--                            Or, at once: it was taken and passed on
--   HELD, lease's PTTL, waiting, owner
--                            another owns the lease; nothing was done
--   MISSING                  nobody owns it; the first in line got it
--
-- The identity is what makes it harmless to do it twice: a second time, the lease
-- may be another's.
ops.break_lease = function(lease, queue, fence, identity, at_once)
  local owner = call('GET', lease)
  local waiting = try('ZCARD', queue)
  if type(waiting) == 'table' then waiting = 0 end -- it is no queue, and in nobody's way
  if not owner then
    if waiting > 0 then let_go(lease, queue, fence, owner, '', nil, 0) end -- reap for an owner that expired
    return MISSING
  end
  local left = call('PTTL', lease)
  if id(owner) ~= identity then return {HELD, left, waiting, owner} end
  if at_once == '1' then
    let_go(lease, queue, fence, owner, meta(owner), nil, 0)
  else
    -- First a write that needs no memory and changes nothing: see let_go.
    if left > 0 then call('PEXPIRE', lease, left) end
    call('SETRANGE', lease, 1, 'b') -- keeps the expiry, the flag and the rest
  end
  -- Its renewal tells it, if this does not.
  call(PUBLISH, channel(lease, owner), table.concat({'broken', identity, lease}, '\n'))
  return {BROKEN, left, waiting, owner}
end
