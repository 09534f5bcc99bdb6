// Package core locks keys in Redis: of all holders of a key, over all processes
// that share the Redis and the prefix, one runs at a time, and the others wait
// in line. The transports (httpmw, grpcmw) are made of it; it knows neither
// them nor any telemetry.
//
//	rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379"}) // go-redis v9
//	locker, err := core.New(rdb)
//	if err != nil {
//		return err // everything that is wrong, in one error
//	}
//	defer locker.Close() // or Shutdown, which lets holders finish
//	if err := locker.Check(ctx); err != nil {
//		return err // what is wrong with Redis, and the commands that mend it
//	}
//
//	err = locker.Do(ctx, "order:42", func(ctx context.Context) error {
//		lock, _ := core.FromContext(ctx)
//		return db.Pay(ctx, 42, lock.Token()) // the store refuses lower tokens
//	})
//	switch denial := core.Denied(err); {
//	case denial == nil: // it ran, and err is its own, or nil
//	case denial.Reason.Ran(): // but its lock was lost, or its token refused: LOCK_LOST, LOCK_STALE
//	default: // it did not run: log.Print(denial.Reason, denial.RetryAfter, denial.Holder)
//	}
//
// One [RedisLocker] serves a whole process and is safe for concurrent use.
// [RedisLocker.Acquire] is the lock by itself; [RedisLocker.Do] and a [Guard]
// run a function under it and see to all the rest. Make keys out of parts with
// package keys; test with package locktest.
//
// # What it promises
//
//   - While Redis remembers what it granted and keeps time to within 1 %, no two
//     holders have proof of one key at once. A lease is counted from before its
//     request was sent, on the monotonic clock, less 1 % and 2 ms; a grant that
//     comes too late for that does not run. Messages that are lost, late or
//     repeated cost time, never a lock.
//   - A holder whose lease cannot be proven any longer is told before it ends:
//     [Lock.Context] is cancelled with cause [ErrLost]. What it does with that is
//     up to it; hence the fencing token.
//   - The line of one process is first come, first served. Processes take turns
//     in the order in which they joined; a turn is a [Tenure], in which a process
//     serves as many of its own line as it can, each under a fencing token of its
//     own. With Tenure(0) a turn is one request. A waiter whose process is gone is
//     skipped.
//   - A caller whose context ends returns at once, whatever Redis or its client
//     does. (One caller may return up to 30 ms late, when Redis has just fallen
//     silent: see "What it costs".) Nothing waits without a bound, nothing queues
//     without a cap, and what has not left the process when its caller goes costs
//     nothing more.
//   - The context of the last holder has ended before the next one has the lock.
//   - A release does not depend on the caller's context, and is repeated until it
//     is answered or the lease must have expired. A request that was cancelled,
//     panicked or gave up leaves nothing behind: what may yet be done for it is
//     looked for, for one TTL. (An acquire that the network delivers later than
//     that brings a lease of nobody, which expires by itself.)
//   - A key that the call chain of the context holds already is
//     [ErrSelfDeadlock], at once. (Across different Lockers, or with a context
//     that does not descend from [Lock.Context], nobody can know.)
//
// # What it does not promise
//
//   - That Redis remembers. A failover to a replica that had not heard of a
//     lease, a restart without persistence, FLUSHALL, or an evicting
//     maxmemory-policy lets a second holder in. The first is told at its next
//     renewal, a third of its TTL later at most, unless a question of its own that
//     was under way since before it had the lock has brought its lease anew, when
//     nobody had the key any more. A process that passes the lease on among its own
//     requests may do so for up to a second longer, under lower tokens than the
//     second holder's: see "The fencing token". Use noeviction, and check tokens;
//     [RedisLocker.Check] finds a policy that evicts. [ReplicaAck] makes it rarer
//     for failovers, and not impossible.
//   - That a holder stops. A process that is suspended, or code that does not
//     heed its context, goes on after its lease has ended.
//   - That Redis forgets. One that is restored from an RDB file, an append-only file or
//     a dump has the leases of that time again. They belong to nobody, and hold up
//     others until they expire: for up to their TTL, by the server's clock. See "After
//     a restore".
//   - That the requests of one client are taken in the order they were sent, or
//     that a request which was repeated runs once: that needs an idempotency key.
//
// # The fencing token
//
// [Lock.Token] rises with every holder of a key, over processes, restarts and
// handoffs. Pass it to the store with every write; a store that remembers the
// highest one and refuses lower ones (UPDATE … SET fence = $1 WHERE id = $2 AND
// fence <= $1) is safe from the holders that "does not promise" is about. Return
// [ErrStale] when it does, and the transport answers that the request was
// overtaken.
//
// Tokens are not below the server's clock in microseconds, so that those that Redis
// gives out rise also after it has lost its data, provided that the new server's
// clock is not behind the last token. The tokens with which a process passes a lease
// on were given out before: when Redis has forgotten that lease, others get the key
// under higher tokens, while the process goes on under lower ones until it asks
// again. That is for up to a second longer if Redis answers. If it does not, it is
// until a third of the lease's TTL is left. A store that checks tokens refuses all of
// these holders.
//
// Tokens are below 2^53 and fit a signed 64-bit column. One counter serves many keys:
// the tokens of one key have gaps.
//
// # When things fail
//
// Acquire returns an [*AcquireError]; a guard makes a [*Denial] of it, whose
// [Reason] is the same for every transport. After an error the caller holds
// nothing. A guard returns the error of its function as it is: [Denied] is nil for
// it, and for a denial [Reason.Ran] reports whether the function ran.
//
//	ErrHeld           it is held, and the caller does not wait (Wait(0))
//	ErrWaitTimeout    Wait is over, and others were in the way all the time
//	ErrQueueFull      MaxWaiters wait here already, or 1,000 processes in Redis; or
//	                  100,000 requests in this process, over all keys; or more is
//	                  asked of Redis than goes out within 2 s, though it answers
//	ErrBackend        Redis refused, failed, or did not answer
//	ErrClosed         Shutdown has begun
//	ErrSelfDeadlock   the call chain holds the key
//	ErrKey, ErrOption bad use: nothing was sent
//	ctx's own error   the caller's context ended first; its cause matches, too
//
// ErrBackend means that it is not known whether the lock was granted. It comes
// at once if the client reports an error, and after 2 s of silence if it reports
// nothing; longer timeouts and retries of the client's do not delay it. Those who
// stand in line already live through errors for 2 s, unless their Wait is over
// first. What may have been granted is given back in the background: until that
// has got through, or for a TTL, others may find the key held. A guard denies the
// request, unless [OnBackendError]([FailOpen]) lets it run without a lock.
//
// An outage does not make every request wait for a timeout: after two calls to
// Redis in a row have failed, or when it has answered nothing for 1 s, whoever
// would have to ask for a free key is told ErrBackend at once, without being
// sent. A probe over a new connection, at first after 100 ms and then twice a second,
// finds out when Redis is back; so does any renewal or poll.
//
// Connections that die silently, as when a firewall forgets them, are no outage. When
// an operation has had no answer for 250 ms a new connection is asked. If that is
// answered, older ones of which nothing is heard are closed, and what was under way
// over them is sent again.
//
// A waiter hears of its grant by a subscription of its process. A subscription that
// is lost is made again. So is one that a server has to which the address does not
// lead any more: while somebody waits, Redis is asked twice a second whether it knows
// of it. If none can be made, because the ACL refuses it for example, waiters ask for
// the lock about four times a second instead, in no order. Check reports that.
//
// A holder goes on while Redis is away: renewals are repeated until the lease has
// lapsed, one TTL after the last that was answered. Then the cause of its context
// is [ErrLost]. With [MaxHold] it is [ErrMaxHold] when the time is over; the lease
// is left to expire, so that nobody else is in while the holder comes to its end.
// A guard returns [ReasonLost] in either case, because what the function did may
// have overlapped with another; the function's own error matches, too.
//
// # What is in Redis
//
// Every key belongs to one of 256 buckets, by a hash; hh is the bucket in
// hexadecimal, and the braces make it one slot of a cluster. P is the [Prefix].
//
//	P:{hh}:l:key    string   the lease: who holds it; expires after its TTL
//	P:{hh}:q:key    zset     the processes in line; exists only while some wait,
//	                         expires 60 s after the last sign of one
//	P:{hh}:fence    string   the last fencing token of the bucket; stays
//	P:w:process     channel  where a process hears that it was granted a lock, that
//	                         another waits for one of its own, or that an operator
//	                         has broken that; on a cluster P:{hh}:w:process
//
// A lease is readable: after 63 characters of identity and terms, the [Meta] of a
// holder is a query string. When a lease is passed on inside a process the next
// renewal says so: others read who held it a third of the TTL ago at most. Keys
// and metadata are stored in the clear. Redis 7.0 or newer is needed (SET with NX
// and GET together). It is tested on Redis 7.0: a single server, servers that
// Sentinels watch, and a cluster. Valkey has the same commands and is not tested.
//
// # One server, Sentinels, a cluster
//
// The client tells: a *redis.Client of one server or of Sentinels
// (redis.NewFailoverClient), or a *redis.ClusterClient, also from
// redis.NewUniversalClient. Nothing else differs for a caller.
//
// After a failover all waits go on by themselves, in their order as far as the
// new primary has it: the subscription is made anew, every process in line asks
// again, holders renew. While nobody serves a key, those in line live through it
// for 2 s, others get ErrBackend at once, and holders go on until their lease has
// lapsed.
//
// Under Sentinels use redis.NewFailoverClient. A redis.NewFailoverClusterClient
// works as well, but learns of a failover bucket by bucket, and until an old primary
// refuses, two processes may ask different ones: two holders.
//
// On a cluster an operation goes to the master of its bucket's slot, by the client
// of that node, with its pool; read-only routing makes no difference. Hooks of the
// nodes see the calls (redis.ClusterClient.OnNewNode), those of the client itself
// only what is redirected. A node that is away holds up its own buckets only. What
// is asked of one node at the same time is one call. A process listens on each
// bucket in which it has somebody wait, over one connection to each node; a bucket
// that nobody has waited in for a minute is left.
//
// Where a slot moves to, locks follow. While it is on its way, operations on its
// buckets pause, because their keys are on both sides: for 2 s at most, then they
// get ErrBackend. A holder's renewals go on trying, and if the slot is on its way
// for longer than the lease lasts, the holder is told ErrLost. A slot of a few
// thousand keys takes less than a second.
//
// How soon a failover of a cluster is noticed depends on the client, too: go-redis
// learns where slots are from any node that answers. Give it short timeouts
// (redis.ClusterOptions.DialTimeout, ReadTimeout) if a node may hang rather than
// die.
//
// With [ReplicaAck] a lock counts as acquired once replicas have acknowledged it.
// What failovers came to with and without it is in RELIABILITY.md.
//
// # Rights
//
// This is all that the user of the locks needs, where P is latchkey, on a server
// by itself and on those that Sentinels watch:
//
//	ACL SETUSER locks on >password resetkeys resetchannels -@all
//	    +eval +evalsha +ping +info +time
//	    +del +exists +get +pexpire +pttl +set +setrange
//	    +zadd +zcard +zrange +zrank +zrem +zscore
//	    +publish +pubsub|numsub +subscribe ~latchkey:* &latchkey:*
//
// The Sentinels have users of their own (redis.FailoverOptions.SentinelUsername):
//
//	ACL SETUSER finder on >password resetkeys resetchannels -@all
//	    +ping +sentinel|get-master-addr-by-name +sentinel|sentinels
//	    +subscribe &+switch-master &+replica-reconf-done
//
// On each server of a cluster:
//
//	ACL SETUSER locks on >password resetkeys resetchannels -@all
//	    +eval +evalsha +ping +info +time
//	    +del +exists +get +pexpire +pttl +set +setrange
//	    +zadd +zcard +zrange +zrank +zrem +zscore
//	    +spublish +pubsub|shardnumsub +ssubscribe +sunsubscribe
//	    +asking +cluster|slots +command ~latchkey:* &latchkey:*
//
// INFO is for [RedisLocker.Check] alone. [ReplicaAck] needs +wait, and so may the
// client's own options need more: a database other than 0 +select, a ClientName
// +client|setname. What go-redis
// tries else when it connects (CLIENT SETINFO, CLIENT MAINT_NOTIFICATIONS) may be
// refused; redis.Options.DisableIdentity and a MaintNotificationsConfig that
// disables it keep that out of the server's ACL LOG.
//
// # After a restore
//
// Before traffic comes back to a Redis that was restored from a file or a dump, delete
// the leases and lines of the past (on a cluster: on every master), here of the default
// [Prefix]:
//
//	redis-cli EVAL "local n = 0; for _, k in ipairs(redis.call('KEYS', ARGV[1])) do n = n + redis.call('UNLINK', k) end; return n" 0 'latchkey:{??}:[lq]:*'
//
// It returns how many there were, and leaves the fencing counters. While Lockers are at
// work it would let second holders in: then wait one TTL, the longest that is in use, or
// free one key with [RedisLocker.BreakNow] (lockctl break -now KEY) when Inspect shows
// a holder that is not there any more. Fencing tokens go on rising, whatever the file has.
//
// # Who else is on the server
//
// Nobody but Lockers should have rights to the keys and channels under the prefix.
// Who may write the keys can do anything. Who may only PUBLISH on the channels (as
// every user may where acl-pubsub-default is allchannels) cannot make a second
// holder: a message counts only if it names an entry by its number, which cannot be
// guessed and is published only once the entry has the lock, and a grant only if its
// tokens are near the time. Such a user can keep a process busy with messages that it
// drops, and fill its connection so that Redis closes it: grants then come by polls,
// later. Who may also SUBSCRIBE reads keys, holders and the numbers of entries that
// have the lock, and can have them ask Redis more often. It could forge a grant only
// for an entry whose own grant, which it has read, was lost on its way, and only by
// guessing the microsecond at which that entry joined the line.
//
// # What an operator can do
//
//	Inspect    tells who holds a key, and which processes are in line for it
//	Leases     lists all leases under the prefix, on a cluster those of all masters
//	Break      tells the holder to stop: its context is cancelled with cause
//	           [ErrBroken], at once or at its next renewal. Nobody else enters before
//	           it has released the lock or its lease has expired
//	BreakNow   lets the next in line in at once, beside a holder that runs on until
//	           it notices
//	Snapshot   tells what this process holds and waits for, without asking Redis
//
// Each is a method of [RedisLocker] and works from any process with the same
// prefix: what is broken is a lease in Redis, and only the one that was looked at
// ([OnlyLease]). Fencing tokens go on rising. Leases needs the right +scan beside
// those above. There is a command line over them in examples/lockctl. Keys and
// holders are data from requests: what these tell is for operators only.
//
// # What it costs
//
//	a free key           1 round trip to acquire, 1 to release
//	                     (a guard does not wait for it, unless with Wait(0))
//	held by another      1 to get in line; the release of the holder before
//	process              grants it, by a message
//	held in this         none: the holder before passes the lease on, without
//	process              Redis, for as long as the tenure lasts; then the release
//	                     gets the next in line a place, in the same round trip
//	a lease              1 renewal per third of its TTL, and 1 for some thousand
//	                     holders more, which brings their tokens
//	a process in line    1 poll per key when the lease in the way would expire,
//	                     at least every third of the TTL or 5 s
//	a process            at most 8 connections, to each node of a cluster, and 1
//	                     more for its subscription, from its first wait on; while
//	                     somebody waits, 2 small calls a second, which ask whether
//	                     Redis knows of that
//
// However many requests of one process wait for a key, they are one entry in
// Redis. What is asked at the same time, for any keys, travels together: up to 64
// operations are one script call, which costs Redis far less than as many calls.
// An uncontended acquire and release are five commands within the script. A Locker
// has two goroutines of its own, a few for its subscription and for calls under
// way, and no timer or goroutine per lock. The first use of the scripts on a server
// costs one more round trip.
//
// An operation that is alone is sent by its caller's own goroutine, where that is
// known to be safe: another would double the latency of a single request to a Redis
// nearby. (With [SharedClient], and under Sentinels, only if the client has
// redis.Options.ContextTimeoutEnabled.) What the client would retry by itself the
// Locker repeats, as often and after the same pauses, because a release that is
// repeated must know it.
//
// # Defaults
//
//	            core         transports   limits
//	TTL         10 s         10 s         10 ms to 24 h, renewed at a third
//	Wait        30 s         5 s          0 to 24 h
//	MaxWaiters  1,000        100          per key and process
//	MaxHold     no bound     5 min                 per holder
//	Tenure      10 ms        10 ms        0 to 1 min, of New
//	Prefix      "latchkey"                64 bytes, no braces or line breaks
//
// Options go over each other: those of [New], then those of [NewGuard], then
// those of the call. 100,000 requests may wait in one process, over all keys.
//
// # Coming from another library
//
//	bsm/redislock    Obtain with a RetryStrategy is Acquire with [Wait]; nothing is
//	                 to be refreshed. ErrNotObtained is [ErrHeld] or
//	                 [ErrWaitTimeout]
//	go-redsync       Lock is Acquire, Extend is not needed, Until is about now plus
//	                 [Lock.Remaining]. One Redis, or one cluster, has a lock; for
//	                 several copies of it see [ReplicaAck]
//	rueidislock      WithContext is Acquire; its context is [Lock.Context]. There a
//	                 lock ends with its caller's context. Here it is held until it
//	                 is released: [RedisLocker.Do] does that when its function
//	                 returns, and so does
//	                 context.AfterFunc(ctx, func() { lock.Release(ctx) }).
//	                 ForceWithContext is [RedisLocker.BreakNow] and then Acquire:
//	                 two steps, between which the next in line has the lock
//
// Locks of different libraries do not see each other. Until the last replica with the
// old one is gone, have the new ones take the old lock, too.
//
// # A transport of one's own
//
// A consumer of a queue, a cron job or an RPC server is a [Guard] and a
// translation: a key out of the message, [Guard.Run] around the handler, and an
// answer for each [Reason] (see its example). Take over the promises by three
// rules: pass on the context that the function gets; describe the request with
// [WithMeta], so that others can see who is in the way; and treat a [*Denial]
// with [ReasonLost] or [ReasonStale] as a request that ran, not as one that was
// turned away.
package core
