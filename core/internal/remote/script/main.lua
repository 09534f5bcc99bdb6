-- Each operation runs on its own: an error of one is its reply, and leaves its
-- neighbours alone. READONLY is about the server, and is the answer to all: by
-- it the client knows that it is connected to one that is no primary any more.
local replies = {}
for i = 0, #KEYS / 3 - 1 do
  local k, a = i * 3, 1 + i * 6
  local ok, reply = pcall(ops[ARGV[a + 1]], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3],
    ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5], ARGV[a + 6])
  if not ok then
    if type(reply) == 'table' then reply = reply.err end
    reply = tostring(reply)
    if string.find(reply, 'READONLY ', 1, true) then -- Redis 6 puts the place before it
      return redis.error_reply("READONLY You can't write against a read only replica.")
    end
    reply = {'error', reply}
  end
  replies[i + 1] = reply
end
return replies
