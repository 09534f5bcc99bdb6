-- check: what of the scripts' commands is refused here? Each is run as they run
-- it, on a name that nobody uses. It is a script of its own: see rights.go.
--   KEYS   a name to try them on, or none
--   ARGV   a channel that nobody hears, or nothing
-- Before it stand the words for pub/sub, as before the scripts (see script.go).
-- Without arguments nothing is tried: whether the call itself is allowed, with
-- these keys, is the answer.
--
-- Reply: a list, for each command that is refused, of what an ACL calls it, 1 if
-- it is the ACL that refuses it, else 0, and the server's error.
--
-- Invariant: nothing is left behind, whatever is refused. The only command that
-- makes a key gives it 1 ms to live; all others are run where they find nothing to
-- change.

local name, channel = KEYS[1], ARGV[1]
local refused = {}

-- The error of a refused command has no code of its own within a script (before
-- Redis 7.2), so the server is asked what it was. That needs no right. Its
-- argument count must be right: some servers crash if it is not (redis/redis
-- #14847).
local function trial(command, ...)
  local reply = redis.pcall(command, ...)
  if type(reply) ~= 'table' or not reply.err then return end
  local denied = 0
  if redis.acl_check_cmd then
    local ok, may = pcall(redis.acl_check_cmd, command, ...)
    if ok and not may then denied = 1 end
  end
  local right = string.lower(command)
  if command == 'PUBSUB' then right = right .. '|' .. string.lower((...)) end
  refused[#refused + 1] = {right, denied, reply.err}
end

if not channel then return refused end

trial('TIME')
trial('PUBSUB', NUMSUB, channel)
trial(PUBLISH, channel, '')
if not name then return refused end

trial('ZADD', name, 'XX', '1', 'nobody')
trial('ZCARD', name)
trial('ZRANGE', name, 0, 0, 'WITHSCORES')
trial('ZRANK', name, 'nobody')
trial('ZSCORE', name, 'nobody')
trial('ZREM', name, 'nobody')
trial('EXISTS', name)
trial('PTTL', name)
trial('PEXPIRE', name, 1)
trial('SETRANGE', name, 0, '')
trial('GET', name)
trial('SET', name, '', 'NX', 'GET', 'PX', 1)
trial('DEL', name)
return refused
