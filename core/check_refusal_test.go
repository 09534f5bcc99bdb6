package core_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// wantUnfit fails the test unless Check finds one fault, of that kind, that is for
// somebody to mend, and says the words.
func wantUnfit(t *testing.T, err error, kind core.FaultKind, says ...string) core.Fault {
	t.Helper()
	f := wantFaults(t, err, kind).Faults[0]
	if !errors.Is(err, core.ErrUnfit) || errors.Is(err, core.ErrBackend) || core.ErrorType(err) != "unfit" {
		t.Errorf("matches other than ErrUnfit: %v", err)
	}
	for _, word := range says {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("does not say %q: %v", word, err)
		}
	}
	return f
}

func TestCredentialsThatTheServerDoesNotTakeAreForSomebodyToMend(t *testing.T) {
	open, closed := locktest.StartRedis(t), locktest.StartRedis(t)
	if err := closed.Client(nil).Do(t.Context(), words("ACL SETUSER locks on >password +@all ~* &*")...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := closed.Client(nil).Do(t.Context(), words("ACL SETUSER off off >password +@all ~* &*")...).Err(); err != nil {
		t.Fatal(err)
	}
	if err := closed.Client(nil).ConfigSet(t.Context(), "requirepass", "secret").Err(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o    redis.Options
		says string
	}{
		"none":                         {redis.Options{}, "NOAUTH"},
		"none, another database":       {redis.Options{DB: 3}, "NOAUTH"},
		"a wrong one":                  {redis.Options{Password: "topsecret"}, "the user default"},
		"a wrong one, with RESP2":      {redis.Options{Password: "topsecret", Protocol: 2}, "WRONGPASS"},
		"a wrong one of a user":        {redis.Options{Username: "locks", Password: "topsecret"}, "the user locks"},
		"no such user":                 {redis.Options{Username: "nobody", Password: "password"}, "the user nobody"},
		"a user that is off":           {redis.Options{Username: "off", Password: "password"}, "the user off"},
		"a user's, of a named client":  {redis.Options{Username: "locks", Password: "topsecret", ClientName: "shop"}, "WRONGPASS"},
		"none, of a client that names": {redis.Options{ClientName: "shop"}, "NOAUTH"},
	} {
		t.Run(name, func(t *testing.T) {
			o := c.o
			o.Addr = closed.Addr()
			l := newLocker(t, closed.Client(&o))
			err := l.Check(t.Context())
			f := wantUnfit(t, err, core.FaultCredentials, c.says, "Password")
			if f.Server != closed.Addr() || !redis.IsAuthError(f.Err) || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("%+v", f)
			}
		})
	}
	t.Run("of a cluster", func(t *testing.T) {
		rdb := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{closed.Addr()}, Username: "locks", Password: "wrong"})
		t.Cleanup(func() { rdb.Close() })
		wantUnfit(t, newLocker(t, rdb).Check(t.Context()), core.FaultCredentials, "the user locks")
	})
	t.Run("one that is right", func(t *testing.T) {
		wantFaults(t, newLocker(t, closed.Client(&redis.Options{Password: "secret"})).Check(t.Context()))
		wantFaults(t, newLocker(t, open.Client(&redis.Options{Password: "any"})).Check(t.Context()))
	})
}

func TestWhatSentinelsRefuseIsForSomebodyToMend(t *testing.T) {
	t.Parallel()
	s := locktest.StartSentinel(t, 1)
	client := func(o redis.FailoverOptions) *redis.Client {
		o.SentinelAddrs = s.SentinelAddrs()
		rdb := redis.NewFailoverClient(&o)
		t.Cleanup(func() { rdb.Close() })
		return rdb
	}
	wantUnfit(t, newLocker(t, client(redis.FailoverOptions{MasterName: "another"})).Check(t.Context()), core.FaultAddress, "MasterName")
	for _, addr := range s.SentinelAddrs() {
		rdb := redis.NewClient(&redis.Options{Addr: addr})
		t.Cleanup(func() { rdb.Close() })
		for _, line := range []string{"ACL SETUSER finder on >password +@all", "ACL SETUSER little on >password -@all +ping", "ACL SETUSER default resetpass >password"} {
			if err := rdb.Do(t.Context(), words(line)...).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantUnfit(t, newLocker(t, client(redis.FailoverOptions{MasterName: "another"})).Check(t.Context()),
		core.FaultCredentials, "Sentinels", "SentinelPassword", "NOAUTH")
	wantUnfit(t, newLocker(t, client(redis.FailoverOptions{MasterName: "another", SentinelUsername: "finder", SentinelPassword: "wrong"})).Check(t.Context()),
		core.FaultCredentials, "Sentinels", "SentinelPassword", "WRONGPASS")
	wantUnfit(t, newLocker(t, client(redis.FailoverOptions{MasterName: "another", SentinelUsername: "little", SentinelPassword: "password"})).Check(t.Context()),
		core.FaultRights, "Sentinels", "SentinelUsername")
	wantUnfit(t, newLocker(t, client(redis.FailoverOptions{MasterName: "another", SentinelUsername: "finder", SentinelPassword: "password"})).Check(t.Context()),
		core.FaultAddress, "MasterName")
}

func TestTheMastersOwnCredentialsAreNotTheSentinels(t *testing.T) {
	t.Parallel()
	s := locktest.StartSentinel(t, 1)
	for _, srv := range s.Servers() {
		if err := srv.Client(nil).Do(t.Context(), words("ACL SETUSER locks on >password +@all ~* &*")...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	rdb := s.Client(&redis.FailoverOptions{Username: "locks", Password: "wrong"})
	f := wantUnfit(t, newLocker(t, rdb).Check(t.Context()), core.FaultCredentials, "the user locks")
	if strings.Contains(f.Problem+f.Remedy, "Sentinel") {
		t.Errorf("%v", f)
	}
}

// A server that cannot save refuses PING, too.
func TestAServerThatCannotWriteToItsDiskIsRefused(t *testing.T) {
	dir := t.TempDir() + "/gone"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	srv := locktest.StartRedis(t, "--enable-protected-configs", "yes")
	admin := srv.Client(nil)
	if err := admin.ConfigSet(t.Context(), "dir", dir).Err(); err != nil {
		t.Fatal(err)
	}
	l := newLocker(t, srv.Client(nil))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := admin.ConfigSet(t.Context(), "save", "3600 100000").Err(); err != nil {
		t.Fatal(err)
	}
	admin.BgSave(t.Context())
	eventually(t, "it cannot save", func() bool { return redis.HasErrorPrefix(admin.Ping(t.Context()).Err(), "MISCONF") })
	f := wantUnfit(t, l.Check(t.Context()), core.FaultRefused, "MISCONF", "BGSAVE")
	if f.Server != srv.Addr() || !redis.HasErrorPrefix(f.Err, "MISCONF") {
		t.Errorf("%+v", f)
	}

	// The remedy.
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := admin.ConfigSet(t.Context(), "dir", dir).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has saved", func() bool {
		admin.BgSave(t.Context())
		return admin.Ping(t.Context()).Err() == nil
	})
	wantFaults(t, l.Check(t.Context()))
	eventually(t, "nothing is being saved any more", func() bool { // into the folder that is about to go
		return strings.Contains(admin.Info(t.Context(), "persistence").Val(), "rdb_bgsave_in_progress:0")
	})
}

func TestADatabaseThatTheServerDoesNotHaveIsRefused(t *testing.T) {
	srv := locktest.StartRedis(t, "--databases", "2")
	wantUnfit(t, newLocker(t, srv.Client(&redis.Options{DB: 2})).Check(t.Context()), core.FaultRefused, "DB index is out of range", "databases")
	wantFaults(t, newLocker(t, srv.Client(&redis.Options{DB: 1})).Check(t.Context()))
	cluster := locktest.StartRedis(t, "--cluster-enabled", "yes")
	wantUnfit(t, newLocker(t, cluster.Client(&redis.Options{DB: 1})).Check(t.Context()), core.FaultCluster, "cluster mode", "NewClusterClient")
}

func TestCommandsThatAreNotThereAreNamedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		o    redis.Options
		says string
	}{
		"PING": {redis.Options{}, "'PING'"}, "SELECT": {redis.Options{DB: 1}, "'select'"}, "EVAL": {redis.Options{}, "EVAL"},
	} {
		t.Run(name, func(t *testing.T) {
			fake := answering(t, func(_ *session, cmd []string) string {
				if strings.EqualFold(cmd[0], name) {
					return "-ERR unknown command '" + cmd[0] + "', with args beginning with: \r\n"
				}
				return aRedis(cmd)
			})
			c.o.Addr = fake
			client := redis.NewClient(&c.o)
			t.Cleanup(func() { client.Close() })
			err := newLocker(t, client).Check(t.Context())
			f := wantUnfit(t, err, core.FaultRefused, "unknown command", "renamed")
			if f.Server != fake {
				t.Errorf("%+v", f)
			}
		})
	}
}

// session is a connection to a fake server.
type session struct{ db int }

// answering starts a server that answers each command as answer does, in RESP, and
// returns its address.
func answering(t *testing.T, answer func(*session, []string) string) string {
	t.Helper()
	l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			stop := make(chan struct{})
			wg.Go(func() {
				defer close(stop)
				defer conn.Close()
				s, r := &session{}, bufio.NewReader(conn)
				for {
					cmd, err := readCommand(r)
					if err != nil {
						return
					}
					if _, err := io.WriteString(conn, answer(s, cmd)); err != nil {
						return
					}
				}
			})
			t.Cleanup(func() { conn.Close(); <-stop })
		}
	})
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

// readCommand reads an array of bulk strings, or an inline command.
func readCommand(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSpace(line)
	if !strings.HasPrefix(line, "*") {
		return strings.Fields(line + " "), nil
	}
	n, err := strconv.Atoi(line[1:])
	if err != nil {
		return nil, err
	}
	var cmd []string
	for range n {
		size, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		length, err := strconv.Atoi(strings.TrimSpace(size[1:]))
		if err != nil {
			return nil, err
		}
		buf := make([]byte, length+2)
		if _, err := io.ReadFull(r, buf); err != nil {
			return nil, err
		}
		cmd = append(cmd, string(buf[:length]))
	}
	return cmd, nil
}

// aRedis is what a server that is fit answers to what Check asks.
func aRedis(cmd []string) string {
	switch strings.ToUpper(cmd[0]) {
	case "HELLO":
		return "-ERR unknown command 'HELLO'\r\n"
	case "PING":
		return "+PONG\r\n"
	case "INFO":
		text := "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.0\r\nrole:master\r\n"
		return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text)
	case "EVALSHA":
		return "-NOSCRIPT No matching script.\r\n"
	case "EVAL":
		return "*0\r\n"
	case "SUBSCRIBE":
		return fmt.Sprintf("*3\r\n$9\r\nsubscribe\r\n$%d\r\n%s\r\n:1\r\n", len(cmd[1]), cmd[1])
	}
	return "+OK\r\n"
}

func TestWhatAServerAnswersToItsFirstCommandIsToldByWhetherItPasses(t *testing.T) {
	wantFaults(t, newLocker(t, clientOf(t, answering(t, func(_ *session, cmd []string) string { return aRedis(cmd) }), 0)).Check(t.Context()))
	for answer, c := range map[string]struct {
		kind core.FaultKind
		says string
	}{
		"-LOADING Redis is loading the dataset in memory":                                                    {core.FaultUnreachable, "loading its data"},
		"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.":            {core.FaultUnreachable, "SCRIPT KILL"},
		"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":                  {core.FaultUnreachable, "without a connection to its master"},
		"-CLUSTERDOWN The cluster is down":                                                                   {core.FaultUnreachable, "CLUSTER INFO"},
		"-ERR max number of clients reached":                                                                 {core.FaultUnreachable, "maxclients"},
		"-TRYAGAIN Multiple keys request during rehashing of slot":                                           {core.FaultUnreachable, "TRYAGAIN"},
		"-NOAUTH Authentication required.":                                                                   {core.FaultCredentials, "NOAUTH"},
		"-WRONGPASS invalid username-password pair or user is disabled.":                                     {core.FaultCredentials, "WRONGPASS"},
		"-DENIED Running in protected mode because protected mode is enabled and no password is set":         {core.FaultRefused, "requirepass"},
		"-MISCONF Errors writing to the AOF file: No space left on device":                                   {core.FaultRefused, "disk"},
		"-MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.": {core.FaultRefused, "disk"},
		"-OOM command not allowed when used memory > 'maxmemory'.":                                           {core.FaultRefused, "maxmemory"},
		"-READONLY You can't write against a read only replica.":                                             {core.FaultReplica, "master's address"},
		"-NOREPLICAS Not enough good replicas to write.":                                                     {core.FaultRefused, "min-replicas-to-write"},
		"-ERR unknown command 'ping'":                                                                        {core.FaultRefused, "renamed"},
		"-ERR something that nobody has heard of":                                                            {core.FaultRefused, "nobody has heard of"},
		"-NOPERM this user has no permissions to run the 'ping' command or its subcommand":                   {core.FaultRights, "+ping"},
		"-NOPERM User locks has no permissions to run the 'ping' command":                                    {core.FaultRights, "+ping"},
	} {
		t.Run(answer, func(t *testing.T) {
			addr := answering(t, func(_ *session, cmd []string) string {
				if strings.EqualFold(cmd[0], "PING") {
					return answer + "\r\n"
				}
				return aRedis(cmd)
			})
			err := newLocker(t, clientOf(t, addr, 0)).Check(t.Context())
			if c.kind != core.FaultUnreachable {
				wantUnfit(t, err, c.kind, c.says)
				return
			}
			wantFaults(t, err, c.kind)
			if errors.Is(err, core.ErrUnfit) || !errors.Is(err, core.ErrBackend) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v; want ErrBackend that says %q", err, c.says)
			}
		})
	}
}

func clientOf(t *testing.T, addr string, db int) *redis.Client {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{
		Addr: addr, DB: db, Username: "locks", Password: "password", DisableIdentity: true, MaxRetries: -1, ContextTimeoutEnabled: true,
	})
	t.Cleanup(func() { rdb.Close() })
	return rdb
}

// The server closes such a connection before it has read anything.
func TestAConnectionThatIsRefusedAtOnceIsToldWhy(t *testing.T) {
	for text, c := range map[string]struct {
		kind core.FaultKind
		says string
	}{
		"-DENIED Running in protected mode because protected mode is enabled\r\n": {core.FaultRefused, "requirepass"},
		"-ERR max number of clients reached\r\n":                                  {core.FaultUnreachable, "maxclients"},
		"HTTP/1.1 400 Bad Request\r\n\r\n":                                        {core.FaultAddress, "HTTP/1.1 400"},
		"SSH-2.0-OpenSSH_9.2\r\n":                                                 {core.FaultAddress, "no Redis"},
	} {
		t.Run(text, func(t *testing.T) {
			l := must[net.Listener](t)(net.Listen("tcp", "127.0.0.1:0"))
			defer l.Close()
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					_, _ = io.WriteString(conn, text)
					conn.Close()
				}
			}()
			err := newLocker(t, clientOf(t, l.Addr().String(), 0)).Check(t.Context())
			wantFaults(t, err, c.kind)
			if errors.Is(err, core.ErrUnfit) == (c.kind == core.FaultUnreachable) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestAnAddressThatCannotBeOneIsForSomebodyToMend(t *testing.T) {
	for _, addr := range []string{"localhost", "localhost:http2", "localhost:6379/0", "a:b:c", "::1"} {
		t.Run(addr, func(t *testing.T) {
			rdb := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, DialerRetries: 1})
			t.Cleanup(func() { rdb.Close() })
			wantUnfit(t, newLocker(t, rdb).Check(t.Context()), core.FaultAddress, "host:port")
		})
	}
}

func TestAClientThatIsClosedIsForSomebodyToMend(t *testing.T) {
	rdb := locktest.StartRedis(t).Client(nil)
	l := newLocker(t, rdb, core.SharedClient())
	rdb.Close()
	wantUnfit(t, l.Check(t.Context()), core.FaultRefused, "the client is closed")
}

// valkey is a server with rights to databases, as Valkey 9.1 has them: without one
// it refuses what has to do with keys, scripts without keys too, and nothing else.
type valkey struct {
	mu       sync.Mutex
	allowed  []int
	without  string // a command that the user may not use
	inScript bool   // the refusal comes from within the script
}

const noDatabase = "No permissions to access database"

func (v *valkey) answer(s *session, cmd []string) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	name := strings.ToUpper(cmd[0])
	if v.without != "" && name == v.without {
		return fmt.Sprintf("-NOPERM User locks has no permissions to run the '%s' command\r\n", strings.ToLower(name))
	}
	switch name {
	case "SELECT":
		db, _ := strconv.Atoi(cmd[1])
		if !slices.Contains(v.allowed, db) {
			return "-NOPERM " + noDatabase + "\r\n"
		}
		s.db = db
	case "EVAL", "EVALSHA":
		if slices.Contains(v.allowed, s.db) {
			break
		}
		if !v.inScript {
			return "-NOPERM " + noDatabase + "\r\n"
		}
		if len(cmd) > 4 { // with a name and the channel
			text := "ACL failure in script: " + noDatabase
			return fmt.Sprintf("*2\r\n*3\r\n$4\r\nzadd\r\n:1\r\n$%d\r\n%s\r\n*3\r\n$3\r\nget\r\n:1\r\n$%d\r\n%s\r\n", len(text), text, len(text), text)
		}
	case "ACL": // SETUSER locks db=…
		v.allowed = nil
		for _, db := range strings.Split(strings.TrimPrefix(cmd[3], "db="), ",") {
			n, err := strconv.Atoi(db)
			if err != nil {
				return "-ERR Error in ACL SETUSER modifier '" + cmd[3] + "': Syntax error\r\n"
			}
			v.allowed = append(v.allowed, n)
		}
	}
	return aRedis(cmd)
}

func TestADatabaseThatTheUserMayNotUseIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		server *valkey
		db     int
		want   []string
	}{
		"database 0":                     {&valkey{allowed: []int{1}}, 0, []string{"db=0"}},
		"no database":                    {&valkey{}, 0, []string{"db=0"}},
		"one that is selected":           {&valkey{allowed: []int{0, 1}}, 3, []string{"db=3"}},
		"what a script uses":             {&valkey{allowed: []int{1}, inScript: true}, 0, []string{"db=0"}},
		"and a right that can be tried":  {&valkey{allowed: []int{1}, without: "SUBSCRIBE"}, 0, []string{"db=0", "+subscribe"}},
		"and that to PING":               {&valkey{allowed: []int{1}, without: "PING"}, 0, []string{"+ping", "db=0"}},
		"a right of those to commands":   {&valkey{allowed: []int{0}, without: "EVALSHA"}, 0, []string{"+evalsha"}},
		"one that may be used, selected": {&valkey{allowed: []int{3}}, 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			addr := answering(t, c.server.answer)
			l := newLocker(t, clientOf(t, addr, c.db))
			err := l.Check(t.Context())
			if c.want == nil {
				wantFaults(t, err)
				return
			}
			f := wantUnfit(t, err, core.FaultRights, c.want...)
			if !slices.Equal(f.Rights, c.want) || !strings.HasPrefix(f.Remedy, "ACL SETUSER locks "+strings.Join(c.want, " ")) {
				t.Errorf("rights %q, remedy %q; want %q", f.Rights, f.Remedy, c.want)
			}
			if strings.Contains(f.Remedy, "eval") != slices.Contains(c.want, "+evalsha") {
				t.Errorf("the remedy gives what the user has: %q", f.Remedy)
			}
			if len(c.want) > 1 || !strings.HasPrefix(c.want[0], "db=") {
				return
			}
			admin := clientOf(t, addr, 0)
			if err := admin.Do(t.Context(), words(f.Remedy)...).Err(); err != nil {
				t.Fatal(err)
			}
			wantFaults(t, l.Check(t.Context()))
		})
	}
}
