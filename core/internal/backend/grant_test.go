package backend_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// wantGrant fails the test unless p has heard of a grant to e, with the counter
// of fencing tokens at its end, and then of the other messages.
func (s *stage) wantGrant(p *process, e backend.Entry, ticket uint64, queued int, from string, then ...string) {
	s.Helper()
	last := ok(s.rdb.Get(s.Context(), s.fence).Result())(s)
	final := ok(strconv.ParseUint(last, 10, 64))(s)
	first := strconv.FormatUint(final-uint64(e.Tokens())+1, 10)
	want := strings.Join([]string{
		"grant", strconv.FormatUint(ticket, 10), first, last, strconv.Itoa(queued), string(e.ID()), from, s.lease,
	}, "\n")
	p.wantHeard(append([]string{want}, then...)...)
}

func TestGrantReachesTheGranteesListener(t *testing.T) {
	onBoth(t, func(s *stage) {
		p := newProcess(s)
		h := listen(s, p.name)
		owner, r := s.hold()
		e := p.entry("service=next").Wanting(5)
		ticket := s.must(backend.Waiting, s.acquire(e)).Ticket
		s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		s.must(backend.Released, s.release(owner, r))

		g := receive(s, h.grants)
		want := backend.Grant{
			ID: e.ID(), Key: s.key, Ticket: ticket, Queued: 1, From: owner.Meta(),
			Tokens: backend.TokenRange{First: g.Tokens.First, Last: g.Tokens.First + 4},
		}
		if g != want {
			s.Errorf("grant %+v, want %+v", g, want)
		}
		if g.Tokens.First <= r.Tokens.Last {
			s.Errorf("tokens %+v after %+v", g.Tokens, r.Tokens)
		}

		s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		if n, want := receive(s, h.notes), (backend.Note{ID: e.ID(), Key: s.key}); n != want {
			s.Errorf("note %+v, want %+v", n, want)
		}
	})
}

// Keys are data: whatever they hold, they come through names, arguments, scripts
// and messages as they are.
func TestKeyOfAnyBytesSurvivesTheWholeWay(t *testing.T) {
	for name, key := range map[string]string{
		"line breaks":     "\na\n\nb\r\n",
		"braces":          "{user}:{1}",
		"only braces":     "}{",
		"NUL":             "a\x00b\x00",
		"not UTF-8":       "\xff\xfe\x80",
		"every byte":      everyByte(),
		"like a name":     "test:{00}:l:k",
		"like a grant":    "k\ngrant\n1\n2\n3",
		"format verbs":    "%s%d%1$s%",
		"Lua":             "'..redis.call('FLUSHALL')..'",
		"as long as such": strings.Repeat("k\n", 256),
		"blanks":          "  ",
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(s *stage) {
				s.use(key)
				p, q := newProcess(s), newProcess(s)
				hp, hq := listen(s, p.name), listen(s, q.name)
				a, b := p.entry(""), q.entry("")
				r := s.must(backend.Granted, s.acquire(a))
				s.must(backend.Waiting, s.acquire(b))
				if n, want := receive(s, hp.notes), (backend.Note{ID: a.ID(), Key: key}); n != want {
					s.Errorf("note %+v, want %+v", n, want)
				}
				s.must(backend.Released, s.release(a, r))
				g := receive(s, hq.grants)
				if g.ID != b.ID() || g.Key != key {
					s.Errorf("grant %+v, want of %q for %q", g, b.ID(), key)
				}
				s.must(backend.Renewed, backend.Renew(s.names, b, "", 0))
				s.must(backend.Released, backend.Cancel(s.names, b))
				if names := ok(s.rdb.Keys(s.Context(), "*").Result())(s); len(names) != 1 || names[0] != s.fence {
					s.Errorf("left in Redis: %q, want only %q", names, s.fence)
				}
			})
		})
	}
}

func everyByte() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return string(b)
}

// Metadata is made without line breaks (core writes a query string). Should
// some have one, the message may be lost, but never names another key.
func TestGrantWithALineBreakInMetadataIsDropped(t *testing.T) {
	onBoth(t, func(s *stage) {
		p := newProcess(s)
		h := listen(s, p.name)
		owner := newProcess(s).entry("a\nb")
		r := s.must(backend.Granted, s.acquire(owner))
		e := p.entry("")
		s.must(backend.Waiting, s.acquire(e))
		s.must(backend.Released, s.release(owner, r))
		s.wantLease(e, '0', ttl, ttl-5*time.Second)
		s.must(backend.Waiting, s.acquire(newProcess(s).entry("")))
		receive(s, h.notes) // published after it, so that it has been dropped
		select {
		case g := <-h.grants:
			s.Errorf("grant %+v", g)
		default:
		}
	})
}
