package fleet

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// wrote has holders of these tokens, of one key, write one after another.
func wrote(t *testing.T, rdb *redis.Client, between func(), tokens ...uint64) written {
	t.Helper()
	l := newLedger()
	for i, token := range tokens {
		id := attemptID{7, uint32(i + 1)}
		l.take(id.process, record{what: asked, attempt: id.number})
		l.take(id.process, record{what: granted, attempt: id.number, token: token})
		if err := writeTo(t.Context(), rdb, KeyName(0), token, id); err != nil {
			t.Fatal(err)
		}
		between()
	}
	w, err := l.writes(rdb, 1)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestTheTwinLosesWhatTheFencedStoreRefuses(t *testing.T) {
	w := wrote(t, locktest.StartRedis(t).Client(nil), func() {}, 1, 5, 3, 4, 5, 6, 2, 7)
	var accepted strings.Builder
	for _, write := range w.writes {
		if write.Accepted {
			accepted.WriteByte('+')
		} else {
			accepted.WriteByte('-')
		}
	}
	if got := accepted.String(); got != "++--++-+" || w.lost != 3 || len(w.found) > 0 {
		t.Errorf("writes %s, lost %d, found %v", got, w.lost, w.found)
	}
}

// A store that does not check its tokens is seen by the twin.
func TestTheTwinSeesAStoreThatForgets(t *testing.T) {
	rdb := locktest.StartRedis(t).Client(nil)
	w := wrote(t, rdb, func() { rdb.Del(t.Context(), "fence:k0") }, 2, 1)
	if w.lost != 1 || len(w.found) != 1 {
		t.Errorf("lost %d, found %v", w.lost, w.found)
	}
}

// If nothing is written, nothing stale is accepted: that proves nothing.
func TestHoldersWhoNeverWriteAreSeen(t *testing.T) {
	rdb := locktest.StartRedis(t).Client(nil)
	l := newLedger()
	l.take(7, record{what: asked, attempt: 1})
	l.take(7, record{what: granted, attempt: 1, token: 1})
	for _, want := range []int{0, 1} {
		w, err := l.writes(rdb, 1)
		if err != nil || len(w.found) != want {
			t.Errorf("found %v, %v", w.found, err)
		}
		l.take(7, record{what: freed, attempt: 1})
	}
}

// A holder who cannot write is told of.
func TestAWriteThatFailsIsFound(t *testing.T) {
	server := locktest.StartRedis(t)
	stores := locktest.StartRedis(t)
	stores.Client(nil).Set(t.Context(), "log:k0", "not a list", 0)
	work := Work{TTL: 1e9, Wait: 1e9, Keys: 1, Callers: 1, Attempts: 1, Redis: server.Addr(), Store: stores.Addr(), Process: 7}
	process, err := startProcess(work)
	if err != nil {
		t.Fatal(err)
	}
	l := newLedger()
	if err := hear(process.out, func(r record) { l.take(7, r) }); err != nil {
		t.Fatal(err)
	}
	if err := process.wait(); err != nil {
		t.Fatal(err)
	}
	if len(l.found) != 1 || l.attempts[0].Outcome != history.Granted || !strings.Contains(l.found[0].Text, "could not write") {
		t.Errorf("found %v, attempts %v", l.found, l.attempts)
	}
}
