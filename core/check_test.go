package core_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// kinds returns what sorts of faults err tells of, in order.
func kinds(t *testing.T, err error) []core.FaultKind {
	t.Helper()
	if err == nil {
		return nil
	}
	e, ok := errors.AsType[*core.CheckError](err)
	if !ok {
		t.Fatalf("Check: %v (%T), want a *CheckError", err, err)
	}
	var all []core.FaultKind
	for _, f := range e.Faults {
		all = append(all, f.Kind)
		if f.Server == "" || f.Problem == "" || f.Effect == "" || f.Remedy == "" {
			t.Errorf("a fault says too little: %+v", f)
		}
		for _, text := range []string{f.Server, f.Problem, f.Remedy} {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("the error does not say %q: %v", text, err)
			}
		}
	}
	return all
}

func wantFaults(t *testing.T, err error, want ...core.FaultKind) *core.CheckError {
	t.Helper()
	if got := kinds(t, err); !slices.Equal(got, want) {
		t.Fatalf("faults %q, want %q: %v", got, want, err)
	}
	e, _ := errors.AsType[*core.CheckError](err)
	return e
}

// contents returns all that is in Redis.
func contents(t *testing.T, rdb *redis.Client) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, k := range must[[]string](t)(rdb.Keys(t.Context(), "*").Result()) {
		all[k] = must[string](t)(rdb.Dump(t.Context(), k).Result())
	}
	return all
}

func TestAServerThatIsFitHasNoFaultsAndIsLeftAsItWas(t *testing.T) {
	srv := locktest.StartRedis(t)
	rdb := srv.Client(nil)
	l := newLocker(t, rdb)
	if err := l.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := contents(t, rdb); len(c) != 0 {
		t.Errorf("left behind: %q", c)
	}
	lock := must[core.Lock](t)(l.Acquire(t.Context(), "k"))
	defer lock.Release(t.Context())
	before := contents(t, rdb)
	if err := l.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := contents(t, rdb); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("it was %q, and is %q", before, after)
	}
	eventually(t, "no subscription is left", func() bool {
		return len(rdb.PubSubChannels(t.Context(), "*").Val()) == 0
	})
}

func TestAnImitationInTestsIsFit(t *testing.T) {
	if err := newLocker(t, locktest.StartMini(t).Client(nil)).Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// infoHook is a server that says other things about itself.
type infoHook struct{ fields map[string]string }

func (h infoHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h infoHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h infoHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if info, ok := cmd.(*redis.StringCmd); ok && cmd.Name() == "info" && err == nil {
			text := info.Val()
			for name, value := range h.fields {
				line := regexp.MustCompile(`(?m)^` + name + `:.*$`)
				text = line.ReplaceAllString(text, "") + "\r\n" + name + ":" + value + "\r\n"
			}
			info.SetVal(text)
		}
		return err
	}
}

func TestWhatAServerSaysAboutItself(t *testing.T) {
	srv := locktest.StartRedis(t)
	for name, c := range map[string]struct {
		info map[string]string
		want []core.FaultKind
		says string
	}{
		"Redis 6.2":     {map[string]string{"redis_version": "6.2.14"}, []core.FaultKind{core.FaultVersion}, "needs Redis 7.0 or newer, and is 6.2.14"},
		"KeyDB":         {map[string]string{"redis_version": "6.3.4"}, []core.FaultKind{core.FaultVersion}, "6.3.4"},
		"Redis 8":       {map[string]string{"redis_version": "8.2.1"}, nil, ""},
		"Valkey":        {map[string]string{"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.0"}, nil, ""},
		"does not say":  {map[string]string{"redis_version": ""}, nil, ""},
		"evicts":        {map[string]string{"maxmemory": "104857600", "maxmemory_policy": "volatile-lru"}, []core.FaultKind{core.FaultEviction}, "volatile-lru"},
		"never evicts":  {map[string]string{"maxmemory": "0", "maxmemory_policy": "allkeys-lru"}, nil, ""},
		"of a cluster":  {map[string]string{"cluster_enabled": "1"}, []core.FaultKind{core.FaultCluster}, "NewClusterClient"},
		"a replica":     {map[string]string{"role": "slave", "master_host": "10.0.0.7", "master_port": "6380"}, []core.FaultKind{core.FaultReplica}, "10.0.0.7:6380"},
		"all at a time": {map[string]string{"redis_version": "5.0.3", "maxmemory": "1", "maxmemory_policy": "allkeys-lru", "role": "slave"}, []core.FaultKind{core.FaultVersion, core.FaultEviction, core.FaultReplica}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			rdb := srv.Client(nil)
			rdb.AddHook(infoHook{c.info})
			err := newLocker(t, rdb, core.SharedClient()).Check(t.Context())
			wantFaults(t, err, c.want...)
			if err != nil && (!errors.Is(err, core.ErrUnfit) || errors.Is(err, core.ErrBackend) || core.ErrorType(err) != "unfit") {
				t.Errorf("matches other than ErrUnfit: %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("does not say %q: %v", c.says, err)
			}
		})
	}
}

func TestAnEvictingServerIsMendedByTheRemedy(t *testing.T) {
	srv := locktest.StartRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "volatile-ttl")
	rdb := srv.Client(nil)
	l := newLocker(t, rdb)
	remedy, _, _ := strings.Cut(wantFaults(t, l.Check(t.Context()), core.FaultEviction).Faults[0].Remedy, ",")
	if err := rdb.Do(t.Context(), words(remedy)...).Err(); err != nil {
		t.Fatalf("%s: %v", remedy, err)
	}
	wantFaults(t, l.Check(t.Context()))
}

// words makes a command of its text.
func words(text string) []any {
	var all []any
	for _, w := range strings.Fields(text) {
		all = append(all, w)
	}
	return all
}

func TestServersThatDoNotServeLocks(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		do   string
		want core.FaultKind
		says string
	}{
		"a replica":              {nil, "REPLICAOF 127.0.0.1 1", core.FaultReplica, "127.0.0.1:1"},
		"a server of a cluster":  {[]string{"--cluster-enabled", "yes"}, "CLUSTER ADDSLOTSRANGE 0 16383", core.FaultCluster, "cluster"},
		"one without slots":      {[]string{"--cluster-enabled", "yes"}, "PING", core.FaultCluster, "cluster"},
		"no memory is left":      {nil, "CONFIG SET maxmemory 1", core.FaultRefused, "OOM"},
		"a command has gone":     {[]string{"--rename-command", "ZRANK", ""}, "PING", core.FaultRefused, "ZRANK"},
		"too few replicas write": {[]string{"--min-replicas-to-write", "1"}, "PING", core.FaultRefused, "NOREPLICAS"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := locktest.StartRedis(t, c.args...)
			rdb := srv.Client(nil)
			if err := rdb.Do(t.Context(), words(c.do)...).Err(); err != nil {
				t.Fatal(err)
			}
			err := newLocker(t, rdb, core.SharedClient()).Check(t.Context())
			e := wantFaults(t, err, c.want)
			if !strings.Contains(err.Error(), c.says) || e.Faults[0].Server != srv.Addr() {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAServerThatCannotBeAskedIsUnreachableNotUnfit(t *testing.T) {
	nobody := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	nobody.Close()
	for name, o := range map[string]*redis.Options{
		"nobody is there":    {Addr: nobody.Addr().String(), MaxRetries: -1, DialerRetries: 1},
		"no host":            {Addr: "latchkey.invalid:6379", MaxRetries: -1, DialerRetries: 1},
		"no socket is there": {Addr: t.TempDir() + "/redis.sock", MaxRetries: -1, DialerRetries: 1},
	} {
		t.Run(name, func(t *testing.T) {
			rdb := redis.NewClient(o)
			t.Cleanup(func() { rdb.Close() })
			err := newLocker(t, rdb).Check(t.Context())
			e := wantFaults(t, err, core.FaultUnreachable)
			if !errors.Is(err, core.ErrBackend) || errors.Is(err, core.ErrUnfit) || core.ErrorType(err) != "backend" {
				t.Errorf("matches other than ErrBackend: %v", err)
			}
			if e.Faults[0].Server != o.Addr || e.Faults[0].Err == nil {
				t.Errorf("%+v", e.Faults[0])
			}
		})
	}
}

func TestACheckReturnsWhenItsContextEndsWhileRedisHangs(t *testing.T) {
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(nil))
	atBest(t, "after its context", 50*time.Millisecond, func() time.Duration {
		stopAnew(t, srv, l)
		defer srv.Continue()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := l.Check(ctx)
		end, _ := ctx.Deadline()
		late := time.Since(end)
		wantFaults(t, err, core.FaultUnreachable)
		if !errors.Is(err, core.ErrBackend) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		return late
	})
}

func TestACheckOfAClosedLockerIsErrClosed(t *testing.T) {
	srv := locktest.StartRedis(t)
	l := newLocker(t, srv.Client(nil))
	warmUp(t, l)
	srv.Stop()
	defer srv.Continue()
	result := make(chan error)
	go func() { result <- l.Check(t.Context()) }()
	go l.Close()
	if err := <-result; !errors.Is(err, core.ErrClosed) { // before or during
		t.Errorf("closed meanwhile: %v", err)
	}
	l.Close()
	if err := l.Check(t.Context()); err != core.ErrClosed {
		t.Errorf("closed before: %v", err)
	}
}
