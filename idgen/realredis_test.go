package idgen

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startRedis runs a real server with the given arguments and returns its
// address. miniredis has neither cluster slots nor a process to stop.
func startRedis(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("needs redis-server on PATH")
	}
	// Some other process may take the port before the server does.
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		cmd := exec.Command(path, append([]string{"--bind", "127.0.0.1", "--port", fmt.Sprint(port), "--save", "",
			"--dir", t.TempDir(), "--daemonize", "no"}, args...)...)
		ready := &readyWriter{seen: make(chan struct{})}
		cmd.Stdout = ready
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan struct{})
		go func() {
			cmd.Wait()
			close(exited)
		}()
		t.Cleanup(func() {
			cmd.Process.Kill()
			<-exited
		})
		select {
		case <-ready.seen:
			return fmt.Sprintf("127.0.0.1:%d", port)
		case <-exited:
		case <-time.After(20 * time.Second):
			t.Fatalf("redis-server is not ready: %s", &ready.log)
		}
	}
	t.Fatal("redis-server did not start")
	return ""
}

// readyWriter waits for the line that a server writes when it accepts.
type readyWriter struct {
	log  bytes.Buffer
	seen chan struct{}
	once sync.Once
}

func (w *readyWriter) Write(b []byte) (int, error) {
	w.log.Write(b)
	if bytes.Contains(w.log.Bytes(), []byte("Ready to accept connections")) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(b), nil
}

func checkNoDuplicates(t *testing.T, rdb redis.UniversalClient) {
	t.Helper()
	const processes, each = 4, 20_000
	ids := make([][]int64, processes)
	var wg sync.WaitGroup
	for p := range ids {
		q := newDaily(t, rdb)
		wg.Go(func() {
			for range each {
				id, err := q.Next(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				ids[p] = append(ids[p], id)
			}
		})
	}
	wg.Wait()
	all := slices.Concat(ids...)
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != processes*each {
		t.Errorf("%d different IDs out of %d", n, processes*each)
	}
}

func TestDailySequenceOnARealServer(t *testing.T) {
	rdb := redis.NewClient(&redis.Options{Addr: startRedis(t)})
	t.Cleanup(func() { rdb.Close() })
	checkNoDuplicates(t, rdb)
	for _, key := range rdb.Keys(t.Context(), "*").Val() {
		if ttl := rdb.TTL(t.Context(), key).Val(); ttl < 7*24*time.Hour || ttl > 11*24*time.Hour {
			t.Errorf("%s expires in %v", key, ttl)
		}
	}
}

func TestDailySequenceOnAClusterClient(t *testing.T) {
	addr := startRedis(t, "--cluster-enabled", "yes")
	node := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { node.Close() })
	if err := node.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{addr}})
	t.Cleanup(func() { rdb.Close() })
	for start := time.Now(); ; { // the node looks at its own state ten times a second
		if err := rdb.Get(t.Context(), "any").Err(); err == redis.Nil {
			break
		} else if time.Since(start) > 20*time.Second {
			t.Fatal(err)
		}
	}
	checkNoDuplicates(t, rdb)
}

func TestDailySequenceNeedsNoMoreThanTheDocumentedCommands(t *testing.T) {
	addr := startRedis(t)
	admin := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { admin.Close() })
	rules := []any{"ACL", "SETUSER", "ids", "on", ">secret", "~latchkey:daily:{*", "-@all",
		"+incrby", "+expireat", "+time", "+set", "+get", "+hello", "+auth"}
	if err := admin.Do(t.Context(), rules...).Err(); err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: addr, Username: "ids", Password: "secret"})
	t.Cleanup(func() { rdb.Close() })
	checkNoDuplicates(t, rdb)
	if err := rdb.Set(context.Background(), "other", "1", 0).Err(); err == nil {
		t.Error("the restricted user is not restricted: the test shows nothing")
	}
}
