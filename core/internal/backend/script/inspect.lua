-- inspect: who holds the lease and who waits for it. Writes nothing.
--   KEYS   lease, queue, fence
--   ARGV   'I', how many of the queue to list, at least 1
-- Reply
--   INSPECTED, lease's PTTL, waiting, owner or '', server's time in microseconds,
--     last fencing token of the bucket or 0, list
-- The list has the entry and the score, as text, of each in line, the first in
-- front. All may have been written by others, and be anything.
ops.inspect = function(lease, queue, fence, most)
  local owner = call('GET', lease) or ''
  local token = try('GET', fence)
  token = type(token) == 'string' and tonumber(token) or 0
  if not (token >= 0 and token < 9007199254740992) then token = 0 end
  local line = call('ZRANGE', queue, 0, int(tonumber(most) - 1), 'WITHSCORES')
  local time = now()
  return {INSPECTED, call('PTTL', lease), call('ZCARD', queue), owner, time, token, line}
end
