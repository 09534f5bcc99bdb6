package redisserver

import (
	"os"
	"os/exec"
	"testing"
)

// Need skips a test that has no redis-server, as core/locktest does.
func Need(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err == nil {
		return
	}
	const text = "redis-server is not on PATH. Install it (apt-get install redis-server, brew install redis)"
	if os.Getenv("LATCHKEY_REQUIRE_REDIS") == "1" {
		t.Fatalf("%s: LATCHKEY_REQUIRE_REDIS=1 forbids to skip.", text)
	}
	t.Skipf("\n*** SKIPPED: %s was NOT RUN: it needs a real Redis.\n*** %s, or set LATCHKEY_REQUIRE_REDIS=1 to make this a failure.", t.Name(), text)
}
