package locktest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/locktest"
)

const all = "~* &* +@all"

// user returns the arguments for users, given as in an ACL file.
func user(texts ...string) []string {
	var args []string
	for _, text := range texts {
		args = append(append(args, "--user"), strings.Fields(text)...)
	}
	return args
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "settings")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAStarterLogsInWithWhatTheArgumentsHave(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		as   string // ACL WHOAMI of Client(nil)
	}{
		"a password":                {[]string{"--requirepass", "secret"}, "default"},
		"in one argument":           {[]string{"--requirepass secret"}, "default"},
		"in capitals":               {[]string{"--RequirePass", "secret"}, "default"},
		"the last one wins":         {[]string{"--requirepass", "old", "--requirepass", "new"}, "default"},
		"with blanks and quotes":    {[]string{"--requirepass", `a "b' c`}, "default"},
		"that looks like a setting": {[]string{"--requirepass", "--secret", "--maxclients", "100"}, "default"},
		"quoted, in one argument":   {[]string{`--requirepass "two words"`}, "default"},
		"none, after one":           {[]string{"--requirepass", "old", "--requirepass", ""}, "default"},
		"with that of a master":     {[]string{"--masterauth", "other", "--requirepass", "secret"}, "default"},
		"another user":              {user("default off", "app on >secret "+all), "app"},
		"a user in one argument":    {[]string{"--user default off", "--user app on >secret " + all}, "app"},
		"the default user's rules":  {user("default on >secret " + all), "default"},
		"a user without a password": {user("default off", "app on nopass "+all), "app"},
		"the one who may":           {user("default on nopass -@all", "few on >a +get ~*", "app on >b "+all), "app"},
		"only some users":           {user("few on >a +get ~*"), "default"},
		"a file of users":           {[]string{"--aclfile", file(t, "user default off\nuser app on >secret "+all+"\n")}, "app"},
		"a file of settings":        {[]string{"--include", file(t, "# a comment\n\nrequirepass \"two words\"\n")}, "default"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := locktest.StartRedis(t, c.args...)
			for range 2 {
				if who, err := r.Client(nil).Do(t.Context(), "ACL", "WHOAMI").Text(); err != nil || who != c.as {
					t.Errorf("the client is %q, %v; want %q", who, err, c.as)
				}
				r.Restart()
			}
		})
	}
}

func TestAClientKeepsItsOwnLogin(t *testing.T) {
	r := locktest.StartRedis(t, append(user("few on >a ~* +@connection +@read"), "--requirepass", "secret")...)
	who, err := r.Client(&redis.Options{Username: "few", Password: "a"}).Do(t.Context(), "ACL", "WHOAMI").Text()
	if err == nil {
		t.Errorf("the client is %q; want one that may not ask", who)
	}
	wrong := once()
	wrong.Password = "wrong"
	if err := r.Client(wrong).Ping(t.Context()).Err(); !redis.HasErrorPrefix(err, "WRONGPASS") {
		t.Errorf("PING = %v; want WRONGPASS", err)
	}
	nobody := once()
	nobody.CredentialsProvider = func() (string, string) { return "", "" }
	if err := r.Client(nobody).Ping(t.Context()).Err(); !redis.HasErrorPrefix(err, "NOAUTH") {
		t.Errorf("PING = %v; want NOAUTH", err)
	}
}

func TestAServerThatCannotBeAskedFailsTheTestSoon(t *testing.T) {
	hashed := "#2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"a hashed password":     {user("default on " + hashed + " " + all), []string{"NOAUTH", "in clear", "--user NAME on >PASSWORD"}},
		"nobody has the rights": {user("default on nopass -@all +ping"), []string{"NOPERM", "PING and INFO"}},
		"another port":          {[]string{"--port", "0", "--unixsocket", filepath.Join(t.TempDir(), "s")}, []string{"does not answer at 127.0.0.1:", "ports"}},
		"that logs elsewhere": {append(user("default on "+hashed+" "+all), "--logfile", "elsewhere.log"),
			[]string{"NOAUTH", "Ready to accept connections"}},
		"a command that is away":   {[]string{"--rename-command", "PING", ""}, []string{"unknown command"}},
		"a file that is not there": {[]string{"--aclfile", "/no/such/file"}, []string{"exited at once", "/no/such/file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := &failingTest{TB: t, ctx: t.Context()}
			start := time.Now()
			func() {
				defer func() { _ = recover() }()
				locktest.StartRedis(e, c.args...)
			}()
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("it took %v", took)
			}
			says(t, "failure", e.fatal, append(c.says, "redis-server", "Redis version=")) // its log
		})
	}
}

func TestAClusterWithAPassword(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"the default user's": {"--requirepass", "secret"},
		"another user's":     user("default off", "app on >secret "+all),
	} {
		t.Run(name, func(t *testing.T) {
			c := locktest.StartCluster(t, 3, 1, args...)
			rdb := c.Client(nil)
			if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			c.MoveSlot("k")
			if v, err := rdb.Get(t.Context(), "k").Result(); v != "v" {
				t.Errorf("GET of a key that has moved = %q, %v", v, err)
			}
			owner := c.Master("k")
			owner.Restart()
			c.AwaitHealthy()
		})
	}
}

func TestSentinelsOfServersWithAPassword(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"the default user's":       {"--requirepass", `a "b' c`},
		"another user's":           user("default off", "app on >secret "+all),
		"with a masterauth beside": {"--requirepass", "secret", "--masterauth", "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			s := locktest.StartSentinel(t, 1, args...)
			rdb := s.Client(nil)
			if err := rdb.Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			old := s.Master()
			s.Failover()
			eventually(t, "a write to the successor", func() error { return rdb.Incr(t.Context(), "n").Err() })
			old.Restart()
			s.AwaitHealthy()
			if who := strings.TrimSpace(s.Client(nil).Do(t.Context(), "ACL", "WHOAMI").String()); strings.Contains(who, "NOAUTH") {
				t.Error(who)
			}
		})
	}
}
