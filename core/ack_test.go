package core_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

const (
	// ackTimeout is long, because a replica that follows must acknowledge in time.
	ackTimeout = time.Second
	// vainTimeout is for where no replica does.
	vainTimeout = 50 * time.Millisecond
)

// withReplica starts a server and a replica of it, and returns when that follows.
func withReplica(t *testing.T) (primary, replica *locktest.Redis) {
	t.Helper()
	primary = locktest.StartRedis(t, "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatal(err)
	}
	replica = locktest.StartRedis(t, "--replicaof", host, port)
	rdb := primary.Client(nil)
	eventually(t, "the replica follows", func() bool {
		// Its first acknowledgement comes when it has loaded everything.
		return rdb.Set(t.Context(), "x", "", 0).Err() == nil && rdb.Wait(t.Context(), 1, ackTimeout).Val() == 1
	})
	if err := rdb.Del(t.Context(), "x").Err(); err != nil {
		t.Fatal(err)
	}
	return primary, replica
}

// wantUnacked fails the test unless err says that the replicas have not
// acknowledged.
func wantUnacked(t *testing.T, err error, acked int) {
	t.Helper()
	ack, ok := errors.AsType[*core.ReplicaAckError](err)
	if !ok || !errors.Is(err, core.ErrBackend) {
		t.Fatalf("%v, want ErrBackend and a *ReplicaAckError", err)
	}
	if ack.Wanted != 1 || ack.Acked != acked || ack.Timeout != vainTimeout || core.ErrorType(err) != "backend" || core.ErrorType(ack) != "replica_ack" {
		t.Errorf("%+v", ack)
	}
	if core.Denied(err).Reason != core.ReasonBackend {
		t.Errorf("reason %v", core.Denied(err).Reason)
	}
}

func TestReplicaAckIsCheckedAtConstruction(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	for name, o := range map[string]core.Option{
		"no replica":       core.ReplicaAck(0, time.Second),
		"a negative one":   core.ReplicaAck(-1, time.Second),
		"too many":         core.ReplicaAck(core.MaxReplicas+1, time.Second),
		"no time":          core.ReplicaAck(1, 0),
		"less than WAIT's": core.ReplicaAck(1, time.Millisecond-1),
		"too much time":    core.ReplicaAck(1, core.MaxAckTimeout+1),
	} {
		if l, err := core.New(rdb, o); l != nil || !errors.Is(err, core.ErrOption) {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
	// The client would end the connection before WAIT is answered.
	hasty := redis.NewClient(&redis.Options{ReadTimeout: ackTimeout})
	defer hasty.Close()
	if l, err := core.New(hasty, core.ReplicaAck(1, ackTimeout)); l != nil || !errors.Is(err, core.ErrOption) {
		t.Errorf("the client's own timeout: %v, %v", l, err)
	}
}

func TestALockThatNoReplicaHasIsNotAcquired(t *testing.T) {
	srv := locktest.StartRedis(t)
	// By itself a lease would be there for a minute.
	l := newLocker(t, srv.Client(nil), core.ReplicaAck(1, vainTimeout), core.TTL(time.Minute))
	for range 2 { // also with the script known
		lock, err := l.Acquire(t.Context(), "k")
		if lock != nil {
			t.Fatal("acquired")
		}
		wantUnacked(t, err, 0)
		eventually(t, "the lease is given back", func() bool {
			return len(must[[]string](t)(srv.Client(nil).Keys(t.Context(), "*:l:*").Result())) == 0
		})
	}
}

func TestALockThatAReplicaHasIsAcquired(t *testing.T) {
	primary, replica := withReplica(t)
	l := newLocker(t, primary.Client(&redis.Options{ContextTimeoutEnabled: true}), core.ReplicaAck(1, time.Second))
	for range 10 {
		lock := must[core.Lock](t)(l.Acquire(t.Context(), "k"))
		names := must[[]string](t)(replica.Client(nil).Keys(t.Context(), "*:l:k").Result())
		if len(names) != 1 {
			t.Fatalf("the replica has %v", names)
		}
		if err := lock.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// An unacknowledged renewal proves nothing.
func TestAHolderIsToldWhenReplicasAreAwayForATTL(t *testing.T) {
	t.Parallel()
	primary, replica := withReplica(t)
	const ttl = 3 * time.Second
	l := newLocker(t, primary.Client(nil), core.ReplicaAck(1, ackTimeout), core.TTL(ttl))
	lock := must[core.Lock](t)(l.Acquire(t.Context(), "k"))
	select {
	case <-lock.Context().Done():
		t.Fatalf("lost while the replica follows: %v", context.Cause(lock.Context()))
	case <-time.After(2 * ttl):
	}
	replica.Stop()
	start := time.Now()
	<-lock.Context().Done()
	if took := time.Since(start); took > 10*ttl || !errors.Is(context.Cause(lock.Context()), core.ErrLost) {
		t.Errorf("%v after %v, want ErrLost about %v later", context.Cause(lock.Context()), took, ttl)
	}
	replica.Continue()
	_ = lock.Release(t.Context())
}

func TestAGrantByAnotherProcessIsAcknowledgedBeforeItsHolderRuns(t *testing.T) {
	t.Parallel()
	primary, replica := withReplica(t)
	rdb := primary.Client(nil)
	other := newLocker(t, primary.Client(nil))
	for _, away := range []bool{false, true} {
		timeout := ackTimeout
		if away {
			timeout = vainTimeout
		}
		l := newLocker(t, rdb, core.ReplicaAck(1, timeout), core.TTL(time.Minute))
		first := must[core.Lock](t)(other.Acquire(t.Context(), "k"))
		type outcome struct {
			lock core.Lock
			err  error
		}
		granted := make(chan outcome, 1)
		go func() {
			lock, err := l.Acquire(t.Context(), "k")
			granted <- outcome{lock, err}
		}()
		eventually(t, "it waits", waitsInRedis(t, rdb, 1))
		if away {
			replica.Stop()
		}
		released := time.Now()
		if err := first.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		out := <-granted
		if away {
			wantUnacked(t, out.err, 0)
			if took := time.Since(released); took < time.Second {
				t.Errorf("gave up after %v: a replica may be away for a moment", took)
			}
			replica.Continue()
			continue
		}
		if out.err != nil {
			t.Fatal(out.err)
		}
		if out.lock.Info().Handoff != core.HandoffRemote || out.lock.Token() <= first.Token() {
			t.Errorf("%+v, token %d after %d", out.lock.Info(), out.lock.Token(), first.Token())
		}
		names := must[[]string](t)(replica.Client(nil).Keys(t.Context(), "*:l:k").Result())
		if len(names) != 1 || !strings.HasSuffix(names[0], ":l:k") {
			t.Errorf("the replica has %v", names)
		}
		if err := out.lock.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the lease is given back", func() bool {
		return len(must[[]string](t)(rdb.Keys(t.Context(), "*:l:*").Result())) == 0
	})
}

// A waiter outlives the moment in which a replica is away.
func TestAWaiterIsGrantedOnceTheReplicaIsBack(t *testing.T) {
	t.Parallel()
	// It tries again for 2 s, of which the replica is away for less than half.
	const timeout, away = 200 * time.Millisecond, 700 * time.Millisecond
	primary, replica := withReplica(t)
	rdb := primary.Client(nil)
	l := newLocker(t, rdb, core.ReplicaAck(1, timeout))
	other := newLocker(t, primary.Client(nil))
	first := must[core.Lock](t)(other.Acquire(t.Context(), "k"))
	granted := make(chan error, 1)
	go func() {
		lock, err := l.Acquire(t.Context(), "k")
		if err == nil {
			err = lock.Release(t.Context())
		}
		granted <- err
	}()
	eventually(t, "it waits", waitsInRedis(t, rdb, 1))
	replica.Stop()
	if err := first.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-granted:
		t.Fatalf("not waiting for the replica: %v", err)
	case <-time.After(away):
	}
	replica.Continue()
	if err := <-granted; err != nil {
		t.Error(err)
	}
}

func TestAServerThatRefusesToWaitForReplicasSaysSo(t *testing.T) {
	t.Parallel()
	primary, _ := withReplica(t)
	if err := primary.Client(nil).Do(t.Context(), "ACL", "SETUSER", "poor", "on", "nopass", "~*", "&*", "+@all", "-wait").Err(); err != nil {
		t.Fatal(err)
	}
	l := newLocker(t, primary.Client(&redis.Options{Username: "poor", Password: "any"}), core.ReplicaAck(1, vainTimeout))
	_, err := l.Acquire(t.Context(), "k")
	wantUnacked(t, err, 0)
	if ack, ok := errors.AsType[*core.ReplicaAckError](err); !ok || !redis.IsPermissionError(ack.Cause) {
		t.Errorf("%v does not say why", err)
	}
}

// What is declared: a failover to a replica that has not heard of a lease lets a
// second holder in. The store that checks tokens is safe.
func TestAFailoverThatForgetsALeaseLetsASecondHolderInUnderAHigherToken(t *testing.T) {
	t.Parallel()
	primary, replica := withReplica(t)
	if err := primary.Client(nil).ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	successor := replica.Client(nil)
	if err := successor.ReplicaOf(t.Context(), "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	before := must[core.Lock](t)(newLocker(t, primary.Client(nil)).Acquire(t.Context(), "k")) // no replica hears of it
	after := must[core.Lock](t)(newLocker(t, successor).Acquire(t.Context(), "k"))
	if before.Remaining() == 0 || after.Remaining() == 0 {
		t.Errorf("%v and %v remain: not a double grant", before.Remaining(), after.Remaining())
	}
	if after.Token() <= before.Token() {
		t.Errorf("token %d after %d", after.Token(), before.Token())
	}
	for _, k := range []core.Lock{before, after} {
		if err := k.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
