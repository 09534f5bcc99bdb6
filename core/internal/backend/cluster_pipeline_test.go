package backend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
	"github.com/latchkey-go/latchkey/core/locktest"
)

// together has operations on one node travel in one flight, and returns their
// answers.
func (s *clusterStage) together(ops ...backend.Op) []backend.Answer {
	s.Helper()
	type numbered struct {
		i int
		a backend.Answer
	}
	c := make(chan numbered, 2*len(ops))
	s.be.Together(ops, func(i int, a backend.Answer) { c <- numbered{i, a} })
	answers := make([]backend.Answer, len(ops))
	for range ops {
		n := receive(s, c)
		answers[n.i] = n.a
	}
	s.Cleanup(func() {
		if len(c) > 0 {
			s.Errorf("answered twice: %+v", <-c)
		}
	})
	return answers
}

// grants fails the test unless all are granted, and none was sent twice.
func (s *clusterStage) grants(answers []backend.Answer) {
	s.Helper()
	for i, a := range answers {
		if a.Err != nil || a.Reply.Status != backend.Granted || a.Repeated {
			s.Errorf("%d: %+v, want it granted the first time", i, a)
		}
	}
}

func (s *clusterStage) acquires(keys []string) (ops []backend.Op) {
	for _, key := range keys {
		ops = append(ops, s.acquire(key, acquirer()))
	}
	return ops
}

func TestOperationsOnSeveralBucketsOfANodeTravelTogetherInTheirOrder(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprint("a call for each: ", strict), func(t *testing.T) {
			inFakeCluster(t, func(f *fakeCluster) {
				f.be.Pipelines(strict)
				keys := f.known(3)[1]
				var ops []backend.Op
				var want []backend.Status
				for range 7 {
					entries := make(map[string]backend.Entry)
					for _, key := range keys { // by turns
						entries[key] = acquirer()
						ops = append(ops, f.acquire(key, entries[key]))
						want = append(want, backend.Granted)
					}
					for _, key := range keys {
						ops = append(ops, backend.Release(f.be.Names(key), entries[key].ID(), 0, 0, ""))
						want = append(want, backend.Released)
					}
				}
				for i, a := range f.together(ops...) {
					if a.Err != nil || a.Reply.Status != want[i] || a.Repeated {
						f.Errorf("%d: %+v, want status %d", i, a, want[i])
					}
				}
				travelled := []call{{fakeAddrs[1], "evalsha", 0, 1, nil}} // for all: it declares no keys
				if strict {
					one := call{fakeAddrs[1], "evalsha", 14, 3, nil}
					travelled = []call{one, one, one}
				}
				if calls := f.tap.seen(); !slices.Equal(calls, travelled) {
					f.Errorf("%+v, want %+v", calls, travelled)
				}
			})
		})
	}
}

// forgetful runs a test in which a node has forgotten the script.
func forgetful(t *testing.T, test func(f *fakeCluster, keys []string)) {
	inFakeCluster(t, func(f *fakeCluster) {
		f.be.Pipelines(true)
		keys := f.known(4)[2]
		f.flush()
		f.tap.forget()
		test(f, keys)
	})
}

// flush has all nodes forget their scripts.
func (s *clusterStage) flush() {
	err := s.rdb.ForEachMaster(s.Context(), func(ctx context.Context, node *redis.Client) error { return node.ScriptFlush(ctx).Err() })
	if err != nil {
		s.Error(err)
	}
}

func TestPipelineTeachesANodeTheScriptOnce(t *testing.T) {
	forgetful(t, func(f *fakeCluster, keys []string) {
		f.grants(f.together(f.acquires(keys)...))
		count := make(map[string]int)
		for _, c := range f.tap.seen() {
			count[c.name]++
		}
		if count["eval"] != 1 || count["evalsha"] != 7 {
			f.Errorf("%v, want 4 calls, and them again, one with the script", count)
		}
	})
}

// The calls after the one with the script find that the node still does not know it.
func TestPipelineWhoseCallWithTheScriptIsRefusedIsSentAgain(t *testing.T) {
	forgetful(t, func(f *fakeCluster, keys []string) {
		refused := false
		f.tap.via(func(_ string, cmds []redis.Cmder, next func() error) error {
			if cmds[0].Name() != "eval" || refused {
				return next()
			}
			refused = true
			_ = fail(cmds[:1], reply("TRYAGAIN Multiple keys request during rehashing of slot"))
			return fail(cmds[1:], reply("NOSCRIPT No matching script. Please use EVAL."))
		})
		f.grants(f.together(f.acquires(keys)...))
	})
}

func TestLostRepliesOfAPipelineAreAskedForAgainAndNoOthers(t *testing.T) {
	inFakeCluster(t, func(f *fakeCluster) {
		f.be.Pipelines(true)
		keys := f.known(4)[0]
		begun := time.Now()
		first := true
		f.tap.via(func(_ string, cmds []redis.Cmder, next func() error) error {
			err := next()
			if first {
				first = false
				time.Sleep(time.Millisecond)
				err = fail(cmds[2:], errCut)
			}
			return err
		})
		for i, a := range f.together(f.acquires(keys)...) {
			if a.Err != nil || a.Reply.Status != backend.Granted || a.Repeated != (i >= 2) || !a.Sent.Equal(begun) {
				f.Errorf("%d: %+v, want the last two repeated", i, a)
			}
		}
		if n := len(f.tap.seen()); n < 5 || n > 6 {
			f.Errorf("%+v, want 4 calls, and those 2 again", f.tap.seen())
		}
		if f.down(keys[0]) {
			f.Error("down, but it has answered")
		}
	})
}

func TestFlightOfWhichNothingIsAnsweredIsAFailureOfTheNode(t *testing.T) {
	for _, strict := range []bool{false, true} {
		t.Run(fmt.Sprint("a call for each: ", strict), func(t *testing.T) {
			inFakeCluster(t, func(f *fakeCluster) {
				f.be.Pipelines(strict)
				keys := f.known(4)[0]
				f.tap.via(func(_ string, cmds []redis.Cmder, _ func() error) error { return fail(cmds, errCut) })
				for i, a := range f.together(f.acquires(keys)...) {
					if !errors.Is(a.Err, errCut) || !a.Repeated {
						f.Errorf("%d: %+v", i, a)
					}
				}
				if !f.down(keys[0]) {
					f.Error("not down")
				}
			})
		})
	}
}

// flights are those with operations on several buckets of one node, on a real cluster
// whose first three nodes are its masters.
func flights(t *testing.T, c *locktest.Cluster) {
	for _, strict := range []bool{false, true} {
		kind := map[bool]string{false: "of a call for all", true: "of a call for each"}[strict]
		scene(t, c, "one bucket that has moved leaves the others alone, in a trip "+kind, func(s *clusterStage) {
			s.be.Pipelines(strict)
			keys := s.keys(c.Nodes()[0].Addr(), 4)
			s.warm(keys...)
			c.MoveSlot(s.fence(keys[1]))
			for i, a := range s.together(s.acquires(keys)...) {
				// In a call for all, the script has found out: perhaps half way.
				if a.Err != nil || a.Reply.Status != backend.Granted || a.Repeated && (strict || i != 1) {
					s.Errorf("%d: %+v, want it granted the first time", i, a)
				}
			}
			s.onlyOwners(keys...)
		})

		scene(t, c, "one bucket whose keys are split leaves the others alone, in a trip "+kind, func(s *clusterStage) {
			s.be.Pipelines(strict)
			keys := s.keys(c.Nodes()[1].Addr(), 3)
			s.warm(keys...)
			sp := s.split(c.Nodes()[1])
			if sp.key != keys[0] {
				s.Fatalf("%s, %s", sp.key, keys[0])
			}
			sp.begin()
			answers := make([]chan backend.Answer, len(keys))
			for i := range keys {
				answers[i] = make(chan backend.Answer, 2)
			}
			s.be.Together(s.acquires(keys), func(i int, a backend.Answer) { answers[i] <- a })
			s.grants([]backend.Answer{receive(s, answers[1]), receive(s, answers[2])})
			if len(answers[0]) > 0 {
				s.Errorf("answered: %+v", <-answers[0])
			}
			sp.end()
			if a := receive(s, answers[0]); a.Err != nil || a.Reply.Status != backend.Granted {
				s.Errorf("%+v", a)
			}
			s.onlyOwners(keys...)
		})

		scene(t, c, "scripts that are forgotten again and again disturb nobody, in trips "+kind, func(s *clusterStage) {
			s.be.Pipelines(strict)
			s.disturbed(append(s.keys(c.Nodes()[2].Addr(), 8), s.keys(c.Nodes()[1].Addr(), 8)...), s.flush)
		})
	}

	scene(t, c, "a node that carries out no script for several slots is asked for one once", func(s *clusterStage) {
		keys := s.keys(c.Nodes()[0].Addr(), 4)
		s.be.Strict()
		s.warm(keys...)
		for i, a := range s.together(s.acquires(keys)...) {
			if a.Err != nil || a.Reply.Status != backend.Granted {
				s.Errorf("%d: %+v", i, a)
			}
		}
		s.onlyOwners(keys...)
		s.tap.forget()
		s.grants(s.together(s.acquires([]string{s.sibling(keys[0]), s.sibling(keys[1])})...))
		for _, c := range s.tap.seen() {
			if c.ops != 1 || c.piped != 2 {
				s.Errorf("%+v, want a call for each", c)
			}
		}
	})

	scene(t, c, "operations wait while their node says that the cluster is down", func(s *clusterStage) {
		node := s.node(c.Nodes()[0])
		keys := s.keys(c.Nodes()[0].Addr(), 3)
		s.warm(keys...)
		const some = 7 // slot, of no key here
		set := func(coverage string, do func(context.Context, int, int) *redis.StatusCmd) {
			s.Helper()
			ctx := context.WithoutCancel(s.Context())
			if err := errors.Join(node.ConfigSet(ctx, "cluster-require-full-coverage", coverage).Err(), do(ctx, some, some).Err()); err != nil {
				s.Fatal(err)
			}
		}
		set("yes", node.ClusterDelSlotsRange)
		s.Cleanup(c.AwaitHealthy)
		eventually(s, "it is down", func() bool {
			return strings.Contains(ok(node.ClusterInfo(s.Context()).Result())(s), "cluster_state:fail")
		})
		answers := make(chan backend.Answer, 8)
		s.be.Together(s.acquires(keys[:2]), func(_ int, a backend.Answer) { answers <- a }) // the script meets it
		s.be.Do(s.acquire(keys[2], acquirer()), func(a backend.Answer) { answers <- a })    // the call meets it
		eventually(s, "they were sent again", func() bool { return len(s.tap.seen()) > 6 })
		if len(answers) > 0 {
			s.Errorf("answered: %+v", <-answers)
		}
		set("no", node.ClusterAddSlotsRange)
		for range 3 {
			if a := receive(s, answers); a.Err != nil || a.Reply.Status != backend.Granted {
				s.Errorf("%+v", a)
			}
		}
		s.onlyOwners(keys...)
	})
}

// onlyOwners fails the test unless each of these keys has a lease, and nobody waits.
func (s *clusterStage) onlyOwners(keys ...string) {
	s.Helper()
	for _, key := range keys {
		if a := s.ask(backend.Acquire(s.be.Names(key), acquirer(), false, 0)); a.Err != nil || a.Reply.Status != backend.Held || a.Reply.Queued != 0 {
			s.Errorf("%s: %+v, want it held", key, a)
		}
	}
}

// disturbed has the locks of keys taken by many callers while something happens
// again and again that they are not to notice.
func (s *clusterStage) disturbed(keys []string, happens func()) {
	s.Helper()
	var working, happening sync.WaitGroup
	over := make(chan struct{})
	happening.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				happens()
			}
		}
	})
	for i, key := range keys {
		working.Go(func() {
			for n := range 30 {
				e := acquirer()
				key := fmt.Sprint(key, "/", i, n%2)
				a := s.ask(s.acquire(key, e))
				if a.Err != nil || a.Reply.Status != backend.Granted || a.Repeated {
					s.Errorf("acquire %s: %+v", key, a)
					return
				}
				if a := s.ask(s.release(key, e, a)); a.Err != nil || a.Reply.Status != backend.Released || a.Repeated {
					s.Errorf("release %s: %+v", key, a)
					return
				}
			}
		})
	}
	working.Wait()
	close(over)
	happening.Wait()
}
