-- release: the owner gives the lease back; the first in line gets it.
--   KEYS   lease, queue, fence
--   ARGV   'R', entry, last token used, last token reserved, fencing tokens
--          for the next owner, entry to queue in the same operation or ''
-- Replies
--   lost                     another owns the lease; nothing was done
--   released [, ...]         it was ours and is given back
--   missing  [, ...]         it had expired; the first in line got it
-- If an entry was to be queued, the reply goes on with the reply of acquire for
-- it: granted if nobody else was there to hear, or waiting. It is never full:
-- it was waiting before, behind the owner in its own process.
ops.R = function(lease, queue, fence, entry, used, reserved, n, requeue)
  local owner = redis.call('GET', lease)
  if owner and id(owner) ~= id(entry) then return {'lost'} end
  local reply = {'missing'}
  local from = ''
  if owner then
    reply[1] = 'released'
    from = meta(owner)
    give_back(fence, used, reserved)
    if flag(owner) == '0' and requeue == '' then
      redis.call('DEL', lease)
      return reply
    end
  end
  if requeue == '' then
    pass(lease, queue, fence, n, from, nil, 0)
    return reply
  end
  local behind = 1
  if ticket_of(queue, requeue) then behind = 0 end -- this release is repeated
  local to, a, b, others = pass(lease, queue, fence, n, from, requeue, behind)
  if to == 'own' then return {reply[1], 'granted', a, b, others} end
  local ticket = enqueue(queue, requeue)
  local w = waiting(lease, queue, requeue, ticket, a)
  return {reply[1], unpack(w)}
end
