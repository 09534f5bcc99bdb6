-- renew: the owner prolongs its lease, and may take more fencing tokens for it.
-- Never recreates it.
--   KEYS   lease, queue, fence
--   ARGV   'N', entry, the entry with new metadata or '', fencing tokens wanted
--          or '0'
-- Replies
--   RENEWED, waiting [, first token, last token]
--   LOST                     the lease is gone or another's
--   BROKEN                   it is ours, and an operator has broken it; nothing was
--                            done
ops.renew = function(lease, queue, fence, entry, refreshed, tokens)
  local owner = call('GET', lease)
  if not owner or id(owner) ~= id(entry) then return LOST end
  if broken(owner) then return BROKEN end
  -- First, because it needs no memory, and a server that is out of it refuses
  -- only a first write.
  call('PEXPIRE', lease, ttl(entry))
  if refreshed ~= '' then
    call('SET', lease, flag(owner) .. sub(refreshed, 2), 'KEEPTTL')
  end
  local others = 0
  if flag(owner) == '1' then others = call('ZCARD', queue) end
  if tokens == '0' then return {RENEWED, others} end
  return {RENEWED, others, reserve(fence, tonumber(tokens))}
end
