-- return gives back all worker numbers of an owner. What was granted to it stays
-- below the ceilings.
--
-- KEYS[1]  the hash of lease.lua
-- ARGV     1 owner
-- reply    how many were given back
local returned = 0
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do
  local ceiling, holder = string.match(flat[i + 1], '^(%d+) %d+ %d+ (%S+)$')
  if holder == ARGV[1] then
    redis.call('HSET', KEYS[1], flat[i], ceiling .. ' 0 0 ')
    returned = returned + 1
  end
end
return returned
