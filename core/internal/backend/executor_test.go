package backend

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// scripted answers pipelines in the place of a server.
type scripted struct {
	answers []func(cmds []redis.Cmder) error
}

func (s *scripted) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (s *scripted) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (s *scripted) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		answer := s.answers[0]
		s.answers = s.answers[1:]
		return answer(cmds)
	}
}

type noScript struct{}

func (noScript) Error() string { return "NOSCRIPT No matching script. Please use EVAL." }
func (noScript) RedisError()   {}

// Another client may have made the script known between two calls of a pipeline.
// What was carried out before is not acknowledged by what is acknowledged later:
// that one may go by another connection, on which nothing was written.
func TestACallThatIsMadeAgainAcknowledgesNoOther(t *testing.T) {
	granted := func(c redis.Cmder) { c.(once).SetVal([]any{int64(1 << 50)}) }
	acked := func(c redis.Cmder, n int64) { c.(*redis.IntCmd).SetVal(n) }
	rdb := redis.NewClient(&redis.Options{})
	defer rdb.Close()
	rdb.AddHook(&scripted{answers: []func([]redis.Cmder) error{
		func(cmds []redis.Cmder) error {
			cmds[0].SetErr(noScript{})
			granted(cmds[1])
			acked(cmds[2], 0)
			return noScript{}
		},
		func(cmds []redis.Cmder) error {
			granted(cmds[0])
			acked(cmds[1], 1)
			return nil
		},
	}})
	names := newKeyspace("latchkey", true)
	c := newExecutor(&Backend{names: names, ack: Ack{Replicas: 1, Within: time.Second}})
	c.strict.Store(true)
	p := NewProcess()
	var tasks []*call
	for n, key := range []string{"a", "b"} { // of two buckets
		e := MakeEntry(MakeID(p, uint64(n)), time.Second, 1, "")
		tasks = append(tasks, &call{op: Acquire(names.Names(key), e, false, 0)})
	}
	b := newBatch(tasks)
	if err := c.execOnNode(t.Context(), rdb, b); err != nil || b.results[0].err != nil || b.results[1].err != nil {
		t.Fatal(err, b.results[0].err, b.results[1].err)
	}
	if b.results[0].unacked != nil || b.results[1].unacked == nil {
		t.Errorf("made again: %v; carried out before: %v", b.results[0].unacked, b.results[1].unacked)
	}
}
