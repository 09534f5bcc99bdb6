package core

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// A Redis user who may only publish knows a process's name, by its channel, and that
// entries are counted. Its messages change nothing, and cost Redis no operation.
func TestMessagesThatAreForgedAreDropped(t *testing.T) {
	messages := map[string]func(l *RedisLocker, id backend.ID){
		"grant": func(l *RedisLocker, id backend.ID) {
			l.onGrantMessage(backend.Grant{ID: id, Key: "k", Tokens: backend.TokenRange{First: 1, Last: 1}})
		},
		"note":   func(l *RedisLocker, id backend.ID) { l.onContentionMessage(backend.Note{ID: id, Key: "k"}) },
		"broken": func(l *RedisLocker, id backend.ID) { l.onBreakMessage(backend.Note{ID: id, Key: "k"}) },
	}
	for name, send := range messages {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, b *bubble) {
				l, p := b.locker()
				other, _ := b.locker()
				k := get(t, other, "k")
				waiter := begin(t.Context(), l, "k")
				holder := get(t, l, "k2")
				synctest.Wait()
				before := fmt.Sprint(p.count("acquire"), p.count("release"), p.count("renew"), p.count("cancel"))
				for n := range uint64(200) {
					send(l, backend.MakeID(l.process, n))
				}
				synctest.Wait()
				if waiter.done() {
					t.Errorf("a waiter was let in: %+v", waiter)
				}
				if after := fmt.Sprint(p.count("acquire"), p.count("release"), p.count("renew"), p.count("cancel")); after != before {
					t.Errorf("operations: %s before, %s after", before, after)
				}
				free(t, holder)
				free(t, k)
				elapse(time.Second)
				if !waiter.done() || waiter.err != nil {
					t.Fatalf("%+v", waiter)
				}
				free(t, waiter.lock)
			})
		})
	}
}

// A store that has seen a token from far ahead would refuse everybody after it.
func TestAGrantWhoseTokensAreFarFromTheTimeIsAskedForInstead(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker()
		k := get(t, other, "k")
		waiter := begin(t.Context(), l, "k")
		synctest.Wait()
		id := standing(l, "k").wire.ID()
		far := uint64(9e15)
		l.onGrantMessage(backend.Grant{ID: id, Key: "k", Tokens: backend.TokenRange{First: far, Last: far}})
		synctest.Wait()
		if waiter.done() {
			t.Fatalf("let in with token %d", far)
		}
		free(t, k)
		elapse(10 * time.Second)
		if !waiter.done() || waiter.err != nil || waiter.lock.Token() >= far {
			t.Fatalf("%+v", waiter)
		}
		free(t, waiter.lock)
	})
}

// A counter may be far ahead of the clock for good: the server's was set back.
func TestTokensThatRedisAnswersWithAreTakenHoweverFarAheadTheyAre(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker()
		other, _ := b.locker()
		free(t, get(t, l, "k"))
		for _, name := range b.srv.Keys() {
			b.srv.Set(name, "5000000000000000") // the fence, in 160 years
		}
		k := get(t, l, "k")
		if k.Token() != 5e15+1 {
			t.Fatalf("token %d", k.Token())
		}
		free(t, k)
		k = get(t, other, "k")
		waiter := begin(t.Context(), l, "k")
		synctest.Wait()
		free(t, k)
		synctest.Wait()
		if !waiter.done() || waiter.err != nil || waiter.lock.Token() <= k.Token() {
			t.Fatalf("not granted by the message: %+v", waiter)
		}
		free(t, waiter.lock)
	})
}
