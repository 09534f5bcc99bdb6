-- rest has the operations, or what remains of them when main has begun them.
local operations
local function rest(kind)
  if not operations then operations = library() end
  return operations[kind]
end

-- acquire takes a key that nobody holds and nobody waits for; else acquire.lua
-- goes on from what was found. One command finds the owner or, if there is none,
-- writes the entry. If what follows fails, that is undone.
local function acquire(lease, queue, fence, entry, cap)
  local owner = pcall_redis('SET', lease, entry, 'NX', 'GET', 'PX', format('%d', sub(entry, 51, 58)))
  if owner or call('EXISTS', queue) == 1 then
    return rest('A')(lease, queue, fence, entry, cap, owner)
  end
  local ok, first, last = pcall(reserve, fence, tonumber(sub(entry, 59, 63)))
  if ok then return {1, first, last, 0} end -- GRANTED
  call('DEL', lease)
  error(first, 0)
end

-- release gives back a lease that nobody waits for; else release.lua goes on
-- from what was found.
local function release(lease, queue, fence, entry, used, reserved, requeue)
  local owner = call('GET', lease)
  if owner and used == '' and requeue == '' and
    sub(owner, 1, 1) == '0' and sub(owner, 3, 50) == sub(entry, 3, 50) then
    call('DEL', lease)
    return 5 -- RELEASED
  end
  return rest('R')(lease, queue, fence, entry, used, reserved, requeue, owner)
end

-- Each operation runs on its own: an error of one is its reply, and leaves its
-- neighbours alone. READONLY is about the server, and is the answer to all: by
-- it the client knows that it is connected to one that is no primary any more.
local replies = {}
local k, a = 1, 2 -- places in KEYS and ARGV
for i = 1, #KEYS / 3 do
  local kind, lease, queue, fence, entry = ARGV[a], KEYS[k], KEYS[k + 1], KEYS[k + 2], ARGV[a + 1]
  local ok, reply
  if kind == 'A' then
    ok, reply = pcall(acquire, lease, queue, fence, entry, ARGV[a + 2])
    a = a + 3
  elseif kind == 'R' then
    ok, reply = pcall(release, lease, queue, fence, entry, ARGV[a + 2], ARGV[a + 3], ARGV[a + 4])
    a = a + 5
  elseif kind == 'N' then
    ok, reply = pcall(rest(kind), lease, queue, fence, entry, ARGV[a + 2], ARGV[a + 3])
    a = a + 4
  else -- 'C'
    ok, reply = pcall(rest(kind), lease, queue, fence, entry)
    a = a + 2
  end
  if not ok then
    if type(reply) == 'table' then reply = reply.err end
    reply = tostring(reply)
    if string.find(reply, 'READONLY ', 1, true) then -- Redis 6 puts the place before it
      return redis.error_reply("READONLY You can't write against a read only replica.")
    end
    reply = {0, reply} -- ERROR
  end
  replies[i] = reply
  k = k + 3
end
return replies
