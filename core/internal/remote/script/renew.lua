-- renew: the owner prolongs its lease. Never recreates it.
--   KEYS   lease, queue, fence
--   ARGV   'N', entry, the entry with new metadata or '', unused...
-- Replies
--   renewed, waiting
--   lost                     the lease is gone or another's
ops.N = function(lease, queue, fence, entry, refreshed)
  local owner = redis.call('GET', lease)
  if not owner or id(owner) ~= id(entry) then return {'lost'} end
  -- First, because it needs no memory, and a server that is out of it refuses
  -- only a first write.
  redis.call('PEXPIRE', lease, int(ttl(entry)))
  if refreshed ~= '' then
    redis.call('SET', lease, flag(owner) .. string.sub(refreshed, 2), 'KEEPTTL')
  end
  local others = 0
  if flag(owner) == '1' then others = redis.call('ZCARD', queue) end
  return {'renewed', int(others)}
end
