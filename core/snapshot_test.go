package core

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestSnapshotTellsWhatAProcessHoldsAndWaitsFor(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(9 * time.Second))
		other, _ := b.locker(TTL(9*time.Second), of("billing"))
		if s := l.Snapshot(); s.Holding == nil || s.Waiting == nil || len(s.Holding)+len(s.Waiting)+s.Requests != 0 || s.Subscribed ||
			s.Namespace != "latchkey" || s.Process != string(l.process) || !s.At.Equal(time.Now()) {
			t.Errorf("at first: %+v", s)
		}
		second := get(t, l, "b", WithMeta(Meta{RequestID: "rb"}))
		first := get(t, l, "a")
		theirs := get(t, other, "c", WithMeta(Meta{RequestID: "rc"}))
		elapse(time.Second)
		var line []*result
		for _, key := range []string{"c", "b", "c", "b", "b"} {
			line = append(line, begin(t.Context(), l, key))
			synctest.Wait()
		}
		before := begin(t.Context(), other, "a")
		elapse(time.Second)
		sent := p.count("acquire") + p.count("renew") + p.count("inspect")

		s := l.Snapshot()
		if len(s.Holding) != 2 || len(s.Waiting) != 2 || s.Requests != 5 || !s.Subscribed || s.Down != "" || s.Closed {
			t.Fatalf("%+v", s)
		}
		a, bb := s.Holding[0], s.Holding[1]
		if a.Key != "a" || a.Token != first.Token() || a.Lease != string(first.entry.wire.ID()) || a.Waiting != 0 || !a.Others || a.Stopped != "" {
			t.Errorf("a: %+v", a)
		}
		if bb.Key != "b" || bb.Waiting != 3 || bb.Others || bb.Holder.RequestID != "rb" || !bb.Holder.Since.Equal(s.At.Add(-2*time.Second)) ||
			bb.Remaining != second.Remaining() {
			t.Errorf("b: %+v", bb)
		}
		wb, wc := s.Waiting[0], s.Waiting[1]
		if wb.Key != "b" || wb.Requests != 3 || wb.Position != 0 || wb.Blocker.RequestID != "rb" || !wb.Since.Equal(s.At.Add(-time.Second)) {
			t.Errorf("b: %+v", wb)
		}
		if wc.Key != "c" || wc.Requests != 2 || wc.Position != 1 || wc.Blocker.RequestID != "rc" || wc.Blocker.Service != "billing" || wc.Fault != "" {
			t.Errorf("c: %+v", wc)
		}
		if n := p.count("acquire") + p.count("renew") + p.count("inspect"); n != sent {
			t.Error("Redis was asked")
		}
		// It is what the operator sees from the other side.
		i, err := other.Inspect(t.Context(), "c")
		if err != nil || i.Queue[0].Process != s.Process {
			t.Errorf("%+v, %v", i, err)
		}
		free(t, first)
		free(t, theirs)
		free(t, second)
		synctest.Wait()
		free(t, before.lock)
		for _, r := range []int{0, 1, 2, 3, 4} {
			synctest.Wait()
			free(t, line[r].lock)
		}
		synctest.Wait()
		if s := l.Snapshot(); len(s.Holding)+len(s.Waiting)+s.Requests != 0 {
			t.Errorf("at last: %+v", s)
		}
		l.Close()
		if s := l.Snapshot(); !s.Closed {
			t.Errorf("closed: %+v", s)
		}
	})
}

func TestSnapshotTellsWhoWasToldToStop(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, p := b.locker(TTL(3 * time.Second))
		operator, _ := b.locker()
		warm(t, l)
		broken, over, lost := get(t, l, "broken"), get(t, l, "over", MaxHold(500*time.Millisecond)), get(t, l, "lost")
		breakIt(t, operator, "broken")
		if _, err := operator.BreakNow(t.Context(), "lost"); err != nil {
			t.Fatal(err)
		}
		elapse(1100 * time.Millisecond)
		var got []string
		for _, h := range l.Snapshot().Holding {
			got = append(got, fmt.Sprint(h.Key, " ", h.Stopped, " ", h.Remaining > 0))
		}
		if want := []string{"broken broken true", "lost lost false", "over max_hold true"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		// Redis falls silent.
		p.via(func(operation, func() error) error { return io.EOF })
		waiter := begin(t.Context(), l, "over")
		elapse(2*time.Second + 100*time.Millisecond) // the lease has lapsed
		s := l.Snapshot()
		if len(s.Waiting) != 1 || !strings.Contains(s.Waiting[0].Fault, io.EOF.Error()) || !strings.Contains(s.Down, "EOF") {
			t.Errorf("in an outage: %+v", s)
		}
		p.via(nil)
		elapse(10 * time.Second)
		if !waiter.done() || waiter.err != nil {
			t.Fatalf("after it: %+v", waiter)
		}
		free(t, waiter.lock)
		for _, k := range []*lock{broken, over, lost} {
			_ = k.Release(t.Context()) // all have expired
		}
	})
}

func TestSnapshotAndInspectionAsJSON(t *testing.T) {
	inBubble(t, func(t *testing.T, b *bubble) {
		l, _ := b.locker(TTL(9*time.Second), WithMeta(Meta{Service: "pay", Host: "h", PID: 7, RequestID: "r"}))
		other, _ := b.locker()
		k := get(t, l, "k")
		r := begin(t.Context(), other, "k")
		elapse(time.Second)
		s, o := l.Snapshot(), other.Snapshot()
		i, err := other.Inspect(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, v := range []any{s, o, i} {
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			texts = append(texts, string(text))
		}
		replace := strings.NewReplacer(
			string(k.entry.wire.ID()), "LEASE", s.Process, "P1", o.Process, "P2", `"`, "'",
			fmt.Sprint(k.Token()), "TOKEN", i.At.Format(time.RFC3339Nano), "NOW", s.At.Format(time.RFC3339Nano), "NOW",
			k.since.Format(time.RFC3339Nano), "THEN", time.UnixMilli(k.since.UnixMilli()).Format(time.RFC3339Nano), "THEN",
		)
		want := []string{
			`{'namespace':'latchkey','process':'P1','at':'NOW','holding':[{'key':'k','lease':'LEASE','token':TOKEN,` +
				`'holder':{'service':'pay','host':'h','pid':7,'request_id':'r','since':'THEN'},'remaining_ns':7908000000,'waiting':0,'others':false}],` +
				`'waiting':[],'requests':0,'subscribed':false}`,
			`{'namespace':'latchkey','process':'P2','at':'NOW','holding':[],` +
				`'waiting':[{'key':'k','requests':1,'since':'THEN','position':1,` +
				`'blocker':{'service':'pay','host':'h','pid':7,'request_id':'r','since':'THEN'}}],'requests':1,'subscribed':true}`,
			`{'key':'k','lease':{'key':'k','id':'LEASE','process':'P1',` +
				`'holder':{'service':'pay','host':'h','pid':7,'request_id':'r','since':'THEN'},'ttl_ns':8000000000,'broken':false,'waiting':1},` +
				`'waiting':1,'queue':[`,
		}
		for n, text := range texts {
			got := replace.Replace(text)
			if n == 2 {
				got = got[:min(len(got), len(want[n]))]
			}
			if got != want[n] {
				t.Errorf("%s\nwant\n%s", got, want[n])
			}
		}
		var back Snapshot
		if err := json.Unmarshal([]byte(texts[0]), &back); err != nil || back.Holding[0].Remaining != s.Holding[0].Remaining {
			t.Errorf("%+v, %v", back, err)
		}
		free(t, k)
		synctest.Wait()
		free(t, r.lock)
	})
}
