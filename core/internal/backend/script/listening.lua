-- listening: does the server that operations go to know of a process's subscription?
--   KEYS   lease, queue, fence: those of any key that the subscription is for
--   ARGV   'L', process
-- Reply
--   LISTENING, how many listen on the process's channel
--
-- The write changes nothing: nobody has an empty entry. A server that is no primary
-- any more refuses it, and says so.
ops.listening = function(lease, queue, fence, process)
  call('ZREM', queue, '')
  return {LISTENING, call('PUBSUB', NUMSUB, channel(lease, '0x' .. process))[2]}
end
