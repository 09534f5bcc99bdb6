package core

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// What is renewed to be acknowledged may not be what the message was about: the
// lease had expired meanwhile, another had it, and the entry was queued and granted
// again, with other tokens.
func TestAGrantThatIsConfirmedAfterAnotherHolderDoesNotBringItsOldToken(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		const ttl = time.Second
		tag := tagOf(b, "k")
		l, p := b.locker()
		l.machine.Acks = true // as with ReplicaAck, but that nothing is to be waited for
		holder, r, e := b.waiter(l, ttl)
		third, _ := b.locker()

		late := time.Now().Add(ttl / 2)
		polls, confirms := make(chan struct{}), make(chan struct{})
		p.via(func(op operation, call func() error) error {
			switch op.kind {
			case "acquire":
				<-polls
			case "renew":
				if !op.at.Equal(late) {
					time.Sleep(ttl / 10) // the confirmation of the second grant
				}
				<-confirms
			}
			return call()
		})
		// The holder's release, but for its message, which is on its way.
		queue, err := b.srv.SortedSet("latchkey:{" + tag + "}:q:k")
		if err != nil {
			t.Fatal(err)
		}
		ticket := uint64(queue[string(e.wire)])
		b.plant("k", e.wire)
		b.srv.SetTTL("latchkey:{"+tag+"}:l:k", ttl)
		b.srv.Del("latchkey:{" + tag + "}:q:k")
		old := holder.Token() + 1
		b.setFence("k", old)
		elapse(time.Until(late))
		l.onGrantMessage(backend.Grant{ID: e.wire.ID(), Key: "k", Ticket: ticket, Tokens: backend.TokenRange{First: old, Last: old}})

		elapse(ttl / 2)
		between := get(t, third, "k")
		close(polls) // one that was sent long ago, and stands in line now
		synctest.Wait()
		free(t, between)
		synctest.Wait()
		close(confirms)
		elapse(ttl)
		if !r.done() || r.err != nil {
			t.Fatalf("not granted: %v", r.err)
		}
		if r.lock.Token() <= between.Token() {
			t.Errorf("token %d after %d", r.lock.Token(), between.Token())
		}
		free(t, r.lock)
		_ = holder.Release(t.Context())
	})
}
