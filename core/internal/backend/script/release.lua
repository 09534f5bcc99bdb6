-- release: the owner gives the lease back; the first in line gets it.
--   KEYS   lease, queue, fence
--   ARGV   'R', identity of the owner, last token used, last token reserved (''
--          and '' if none is to be given back), entry to queue in the same
--          operation or ''
--   or     'P', the same and the last holder's metadata, if that in the lease is of
--          a holder before
--   or     'D', identity of the owner
-- Replies
--   LOST                     another owns the lease; nothing was done
--   RELEASED                 it was ours and is given back
--   MISSING                  it had expired; the first in line got it
-- If an entry was to be queued, the last two are tables, whose second element is
-- the reply of acquire for it: granted if nobody else was there to hear, or
-- waiting. It is never full: it was waiting before, behind the owner in its own
-- process. Without a table it was not queued, because no tokens can be reserved: it
-- asks for itself, and is told why.
--
-- main.lua has begun it: owner is the one that it found, or false.
ops.release = function(lease, queue, fence, identity, used, reserved, requeue, owner, last)
  if owner and id(owner) ~= identity then return LOST end
  local status, from = MISSING, ''
  if owner then
    status = RELEASED
    if requeue == '' and flag(owner) == '0' then
      call('DEL', lease) -- first, because it needs no memory: see let_go
      give_back(fence, used, reserved)
      return status
    end
    give_back(fence, used, reserved)
    from = last or meta(owner)
  end
  if requeue == '' then
    let_go(lease, queue, fence, owner, from, nil, 0)
    return status
  end
  local behind = 1
  if type(try('ZSCORE', queue, requeue)) == 'string' then behind = 0 end -- this release is repeated
  local to, a, b, others = let_go(lease, queue, fence, owner, from, requeue, behind)
  if to == 'failed' then return status end
  if to == 'own' then return {status, {GRANTED, a, b, others}} end
  local ticket = enqueue(queue, requeue)
  return {status, waiting(lease, queue, requeue, ticket, a)}
end
