-- rest has the operations, or what remains of them when they were begun here.
local operations
local function rest(kind)
  if not operations then operations = library() end
  return operations[kind]
end

-- Each operation runs on its own: an error of one is its reply, and leaves its
-- neighbours alone. So run stops at an error, and is called again for those that
-- follow: reached tells how far it has come, so that no operation is done twice.
-- (It is a table because miniredis's Lua loses a function's assignments to an
-- outer local when an error ends it.)
local replies, reached = {}, {0, FIRST} -- operations begun, the next one's place in ARGV

-- The last time to live, as entries have it and as a command takes it: without
-- the zeros before it. The entries of one call mostly have the same.
local padded, px

local function run()
  local n, i, a = #ARGV, reached[1], reached[2]
  while a <= n do
    local k = 3 * i + NAMED
    local kind, lease, queue, fence, entry = ARGV[a], NAMES[k + 1], NAMES[k + 2], NAMES[k + 3], ARGV[a + 1]
    local reply
    i = i + 1
    a = a + 2 + (ARGS[kind] or 0)
    reached[1], reached[2] = i, a
    if kind == 'acquire' then
      -- Taken if nobody holds the key and nobody waits for it; else acquire.lua
      -- goes on from what was found. One command finds the owner or, if there is
      -- none, writes the entry.
      local ttl = sub(entry, 51, 58)
      if ttl ~= padded then padded, px = ttl, format('%d', ttl) end
      local owner = try('SET', lease, entry, 'NX', 'GET', 'PX', px)
      if owner or call('EXISTS', queue) == 1 then
        reply = rest('acquire')(lease, queue, fence, entry, ARGV[a - 1], owner)
      else
        local first, last = reserve(fence, tonumber(sub(entry, 59, 63)), lease)
        reply = first
        if first ~= last then reply = {GRANTED, first, last, 0} end
      end
    elseif kind == 'release_plain' then
      -- A release that gives no tokens back and queues nobody. Done if nobody
      -- waits; else release.lua goes on.
      local owner = call('GET', lease)
      if owner and sub(owner, 1, 1) == '0' and sub(owner, 3, 50) == entry then
        call('DEL', lease)
        reply = RELEASED
      else
        reply = rest('release')(lease, queue, fence, entry, '', '', '', owner)
      end
    elseif kind == 'release' then
      reply = rest('release')(lease, queue, fence, entry, ARGV[a - 3], ARGV[a - 2], ARGV[a - 1], call('GET', lease))
    elseif kind == 'release_from' then
      reply = rest('release')(lease, queue, fence, entry, ARGV[a - 4], ARGV[a - 3], ARGV[a - 2], call('GET', lease), ARGV[a - 1])
    elseif kind == 'renew' then
      reply = rest('renew')(lease, queue, fence, entry, ARGV[a - 2], ARGV[a - 1])
    elseif kind == 'break_lease' then
      reply = rest('break_lease')(lease, queue, fence, entry, ARGV[a - 1])
    else -- cancel, inspect, listening
      reply = rest(kind)(lease, queue, fence, entry)
    end
    replies[i] = reply
  end
end

while true do
  local ok, failure = pcall(run)
  if ok then return replies end
  if type(failure) == 'table' then failure = failure.err end
  failure = tostring(failure)
  -- READONLY is about the server, and is the answer to all: by it the client
  -- knows that it is connected to one that is no primary any more.
  if string.find(failure, 'READONLY ', 1, true) then -- Redis 6 puts the place before it
    return redis.error_reply("READONLY You can't write against a read only replica.")
  end
  replies[reached[1]] = {ERROR, failure}
end
