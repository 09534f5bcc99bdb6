package sim

import (
	"maps"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/core"
)

// presence knows who is at which key, and so when nobody is: what is there then was
// left behind. Once its TTL is over it cannot be seen any more, so the look must
// come before. It is guarded by the world's mu.
type presence struct {
	present map[string]int // callers at a key, from their call to their release
	visits  map[string]int // calls so far
}

func (w *world) enter(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.presence.present[key]++
	w.presence.visits[key]++
}

// leave is for a caller who is done with a key, granted or not. In an orderly world
// all that was granted to him, or may be yet, is gone some messages later: an
// acquire may be under way, with what gives it back behind it or before it, and a
// script has to be loaded.
func (w *world) leave(key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.presence.present[key]--
	visits := w.presence.visits[key]
	if w.presence.present[key] > 0 || !w.plan.orderly() {
		return
	}
	w.late.Go(func() {
		time.Sleep(w.plan.tidied())
		left := w.left(key)
		w.mu.Lock()
		same := w.presence.visits[key] == visits
		w.mu.Unlock()
		if same && len(left) > 0 {
			w.note("O6", "nobody has been at %s for %v, and there is %v", key, w.plan.tidied(), left)
		}
	})
}

// left is what Redis has of a key: its lease and its queue, with what is in them.
func (w *world) left(key string) map[string]string {
	left := map[string]string{}
	for _, name := range w.redis.Keys() {
		switch {
		case strings.HasSuffix(name, ":l:"+key):
			left[name], _ = w.redis.Get(name)
		case strings.HasSuffix(name, ":q:"+key):
			members, _ := w.redis.ZMembers(name)
			left[name] = strings.Join(members, " ")
		}
	}
	return left
}

// revenant has a request done, with nobody to hear, whose asker was told at failed
// that there was no answer. If it brings a key something while nobody is there, its
// asker is known to go on cleaning up for a TTL, at pauses that double from 50 ms:
// what comes within that is gone after as long again. That can only be told from an
// expiry while nothing goes wrong, and the asker has nothing under way that did. (Nor
// where Redis restarts: the asker's pool has connections that have been cut, and each
// costs it a pause; nor if another such request is done meanwhile, which may bring the
// same again.)
func (t *trip) revenant(failed time.Time, do func()) {
	before := map[string]map[string]string{}
	for n := range t.plan.keys {
		before[keyName(n)] = t.left(keyName(n))
	}
	do()
	since, others := time.Since(failed), t.revenants.Load()
	within := since + 50*time.Millisecond + t.plan.tidied()
	if !t.settled.Load() || t.plan.restarts > 0 || t.faulty.Load() > 0 || within >= t.plan.ttl {
		return
	}
	for key, was := range before {
		is := t.left(key)
		if maps.Equal(was, is) || len(is) == 0 {
			continue
		}
		t.late.Go(func() {
			time.Sleep(within)
			if maps.Equal(is, t.left(key)) && t.revenants.Load() == others {
				t.note("O6", "%v after its asker was told of no answer a request brought %s: %v. It is there still after %v", since, key, is, within)
			}
		})
	}
}

// stray has a caller go away, when all else is over, whose request is done after he
// has been told that there was no answer. It happens by chance, too, but seldom at a
// time at which [trip.revenant] can judge it.
func (w *world) stray(l *core.RedisLocker, y *hook) {
	if w.plan.wire == 0 || w.plan.restarts > 0 {
		return
	}
	// What is under way comes, what it brings expires, and the last pause of who cleans
	// up is over.
	time.Sleep(4*w.plan.ttl + 2*time.Second)
	y.stray.Store(true)
	if lock, err := l.TryAcquire(w.t.Context(), keyName(0)); err == nil { // it was repeated
		_ = lock.Release(w.t.Context())
	}
}
