package idgen

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// checkTimeout bounds a Check whose context does not.
const checkTimeout = 10 * time.Second

// Check asks Redis whether it is fit for this sequence: the server that has its
// counter, which in a cluster is the master of the counter's slot. Call it once,
// when the process starts. It asks INFO and changes nothing.
//
// It returns nil, [ErrClosed], or an error that matches [ErrUnfit] and is a
// [*CheckError] if somebody has to change something, or one that matches
// [ErrBackend] if the server did not answer: try that again. It returns when ctx
// ends, also while Redis hangs, and after 10 s in any case.
//
// The policies of eviction that are called volatile-* spare the counter, which has
// no expiry. Persistence is not looked at: INFO does not tell whether a restart
// would lose the counter.
func (q *Sequence) Check(ctx context.Context) error {
	return q.check(ctx, q.rdb, q.key, false)
}

// Check asks Redis whether it is fit for this sequence, as [Sequence.Check] does.
// Its counters have an expiry, so that all policies of eviction but noeviction
// are reported.
func (q *DailySequence) Check(ctx context.Context) error {
	return q.check(ctx, q.rdb, q.key("counter", ""), true)
}

func (s *fetches) check(ctx context.Context, rdb any, key string, expires bool) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return ErrClosed
	}
	return checkServer(ctx, rdb, key, expires)
}

// checkServer asks the server that has a key whether it can keep it. expires says
// that the key has an expiry. The error is as [Sequence.Check] promises.
//
// The calls are made by a goroutine of its own, as go-redis does not end with its context
// while it reads. It ends with the client's own timeouts.
func checkServer(ctx context.Context, rdb any, key string, expires bool) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	result := make(chan error, 1)
	go func() { result <- askServer(ctx, rdb, key, expires) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for INFO: %w", ErrBackend, ended(ctx))
	}
}

func askServer(ctx context.Context, rdb any, key string, expires bool) error {
	// A cluster client would ask any of its servers.
	if c, ok := rdb.(interface {
		MasterForKey(ctx context.Context, key string) (*redis.Client, error)
	}); ok {
		master, err := c.MasterForKey(ctx, key)
		if err != nil {
			return fmt.Errorf("%w: who has the slot of %s: %w", ErrBackend, key, err)
		}
		rdb = master
	}
	server := "redis"
	if c, ok := rdb.(interface{ Options() *redis.Options }); ok {
		server = c.Options().Addr
	}
	c, ok := rdb.(interface {
		Info(ctx context.Context, sections ...string) *redis.StringCmd
	})
	if !ok {
		return &CheckError{[]Fault{unchecked(server, fmt.Sprintf("the client, a %T, has no method Info", rdb), "give the generator a client that has it", nil)}}
	}
	text, err := c.Info(ctx).Result() // without sections: only Redis 7 takes several
	if f, ok := refused(server, err); ok {
		return &CheckError{[]Fault{f}}
	}
	if err != nil {
		return fmt.Errorf("%w: INFO: %w", ErrBackend, err)
	}
	if faults := serverInfo(text).faults(server, key, expires); len(faults) > 0 {
		return &CheckError{faults}
	}
	return nil
}

// refused tells whether err is the server's last word on INFO. Who is not let in
// at all, or is told to come again, has not asked.
func refused(server string, err error) (Fault, bool) {
	var reply redis.Error
	switch {
	case redis.IsPermissionError(err):
		return unchecked(server, fmt.Sprintf("INFO is refused (%v)", err), "give the user the right +info", err), true
	case redis.IsAuthError(err), redis.IsLoadingError(err), redis.IsMaxClientsError(err), redis.IsMasterDownError(err), redis.IsClusterDownError(err):
		return Fault{}, false
	case errors.As(err, &reply):
		return unchecked(server, fmt.Sprintf("INFO is refused (%v)", err), "let the server answer INFO", err), true
	}
	return Fault{}, false
}

// serverInfo is the reply to INFO: lines of name:value, under headings.
// https://redis.io/docs/latest/commands/info/
type serverInfo string

// field returns a value, or "" if the server does not say.
func (i serverInfo) field(name string) string {
	_, after, _ := strings.Cut("\n"+string(i), "\n"+name+":")
	value, _, _ := strings.Cut(after, "\n")
	return strings.TrimSpace(value)
}

func (i serverInfo) faults(server, key string, expires bool) []Fault {
	var faults []Fault
	// Without a limit of memory no policy evicts anything.
	limit, err := strconv.ParseUint(i.field("maxmemory"), 10, 64)
	policy := i.field("maxmemory_policy")
	spared := policy == "" || policy == "noeviction" || !expires && strings.HasPrefix(policy, "volatile-")
	if err == nil && limit > 0 && !spared {
		faults = append(faults, eviction(server, key, policy, limit))
	}
	switch i.field("role") {
	case "slave", "replica":
		faults = append(faults, Fault{
			Kind:    FaultReplica,
			Server:  server,
			Problem: fmt.Sprintf("it is a replica of %s:%s", i.field("master_host"), i.field("master_port")),
			Effect:  "it refuses all writes (READONLY), so no ID can be made",
			Remedy:  "give the client the master's address, or use redis.NewFailoverClient, which asks Sentinels for it",
		})
	}
	return faults
}
