package lockotel

import (
	"strconv"
	"sync"
	"testing"

	"github.com/latchkey-go/latchkey/core"
)

func TestPreparedReturnsTheFirstValueToEverybody(t *testing.T) {
	p := prepared[string, *int]{limit: 10}
	var wg sync.WaitGroup
	got := make([]*int, 20)
	for i := range got {
		wg.Go(func() { got[i] = p.store("k", new(int)) })
	}
	wg.Wait()
	for i, v := range got {
		if v != got[0] {
			t.Fatalf("store number %d returned another value than the first", i)
		}
	}
	if v, ok := p.load("k"); !ok || v != got[0] {
		t.Errorf("load = %p, %v, want %p", v, ok, got[0])
	}
}

func TestPreparedKeepsNothingBeyondItsLimit(t *testing.T) {
	p := prepared[int, int]{limit: 3}
	for i := range 10 {
		if v := p.store(i, i*i); v != i*i {
			t.Fatalf("store(%d) = %d, want what was stored", i, v)
		}
	}
	for i := range 10 {
		if _, ok := p.load(i); ok != (i < 3) {
			t.Errorf("entry %d is kept: %v", i, ok)
		}
	}
}

func TestSitesBeyondTheLimitAreCompleteAndNotKept(t *testing.T) {
	o := newObserver(t)
	for i := range maxSites + 10 {
		name := "GET /" + strconv.Itoa(i)
		if got := o.site(core.Attempt{Namespace: "n", Name: name}).acquireSpan; got != "acquire "+name {
			t.Fatalf("site %d has the span name %q", i, got)
		}
	}
	if n := len(*o.sites.entries.Load()); n != maxSites {
		t.Errorf("%d sites are kept, want %d", n, maxSites)
	}
}

func TestSitesOfTwoNamespacesKeepApart(t *testing.T) {
	o := newObserver(t)
	a := o.site(core.Attempt{Namespace: "a", Name: "n"})
	b := o.site(core.Attempt{Namespace: "b", Name: "n"})
	if a == b || a != o.site(core.Attempt{Namespace: "a", Name: "n"}) {
		t.Error("a site is per namespace and name")
	}
}
