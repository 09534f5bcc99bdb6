-- What every call begins with. The files of this folder are joined into one
-- script (see script.go), because a script call costs more than what it does:
-- several operations travel in one.
--
-- Redis runs all of a script anew each time, and making its functions is a good
-- part of the cost of a lone operation. So what nearly every operation needs is
-- here and in main.lua, and the rest in library.lua and the operations' own
-- files: one function, which is called when something of it is first needed.
--
-- An entry is, at fixed places (see entry.go):
--   1      flag: '1' if others wait
--   2      mode: 'x', exclusive; 'b', of a lease that an operator has broken: it is
--          never prolonged
--   3-34   process, 35-50 counter: together the identity
--   51-58  time to live, ms
--   59-63  fencing tokens wanted
--   64-    metadata, for people
--
-- The invariant that every operation keeps:
--   lease present and queue not empty  =>  the lease's flag is '1'.
--
-- Statuses, and the arguments that an operation has (ARGS), come from op.go and
-- reply.go. A reply is a status, or a table that begins with one; a grant of one token to
-- an entry behind which nobody waits is just that token. Numbers are sent as
-- integers: tokens and tickets are below 2^53, to which Lua's are exact.

local call, try, sub, format = redis.call, redis.pcall, string.sub, string.format

-- now is the server's time in microseconds, read at most once per call, as a
-- number and as text. Integers are formatted explicitly: Lua's own would write
-- 1.76e+15.
local clock, clock_text
local function now()
  if not clock then
    local t = call('TIME')
    clock = t[1] * 1000000 + t[2]
    clock_text = format('%.0f', clock)
  end
  return clock, clock_text
end

-- reserve takes n fencing tokens and returns the first and the last. They are
-- above every token of this bucket before, and, because the counter never
-- falls behind the clock, also above those of a counter that was lost.
--
-- Nearly always the clock is ahead, and then one command both reads and sets
-- the counter. If the counter is at its end, or is none, it is left as it is and
-- the operation fails; `written`, or nil, is a lease to be deleted then.
local function reserve(fence, n, written)
  local first, text = now()
  local final = first + (n - 1)
  if n > 1 then text = format('%.0f', final) end
  local before = try('SET', fence, text, 'GET')
  if not before then return first, final end
  local failure
  if type(before) == 'table' then
    failure = before
  else
    local last = tonumber(before) or 0
    if not (last >= first) then return first, final end -- nor is "nan" ahead
    first, final = last + 1, last + n
    if final < 9007199254740992 then
      call('SET', fence, format('%.0f', final))
      return first, final
    end
    call('SET', fence, before)
    failure = 'fencing counter ' .. fence .. ' is beyond 2^53'
  end
  if written then call('DEL', written) end
  error(failure, 0)
end
