package fleet

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// The stores are a Redis of their own, which no fault strikes. The fenced one
// checks fencing tokens, and keeps a list of all writes with what it did. Its twin
// takes each write as it comes, and keeps a list of what each has overwritten. Both
// get a write at once, so that they get all in one order.
var store = redis.NewScript(`
local fence, log, twin, lost = unpack(KEYS)
local token, id = unpack(ARGV)
local ok = tonumber(token) >= tonumber(redis.call('GET', fence) or '0')
if ok then redis.call('SET', fence, token) end
redis.call('RPUSH', log, id .. (ok and '+' or '-'))
redis.call('RPUSH', lost, redis.call('SET', twin, token, 'GET') or '0')
return 1`)

// writeTo has the holder of an attempt write.
func writeTo(ctx context.Context, rdb *redis.Client, key string, token uint64, id attemptID) error {
	names := []string{"fence:" + key, "log:" + key, "twin:" + key, "lost:" + key}
	return store.Run(ctx, rdb, names, strconv.FormatUint(token, 10), id.String()).Err()
}

// attemptID names an attempt over all processes.
type attemptID struct{ process, number uint32 }

func (a attemptID) String() string { return fmt.Sprintf("%d.%d", a.process, a.number) }

// written is what the stores got.
type written struct {
	writes []history.Write
	lost   int // writes of lower tokens than the twin had had before
	found  []history.Violation
}

// writes reads the stores. Each write is one of a known attempt, and the fenced
// store has refused as many as have made its twin lose what was newer.
func (l *ledger) writes(rdb *redis.Client, keys int) (w written, err error) {
	for k := range keys {
		key := KeyName(k)
		log, err := all(rdb, "log:"+key)
		if err != nil {
			return w, err
		}
		var tokens []uint64 // of the log
		refused := 0
		for _, text := range log {
			var id attemptID
			if _, err := fmt.Sscanf(strings.TrimRight(text, "+-"), "%d.%d", &id.process, &id.number); err != nil {
				return w, err
			}
			n, ok := l.of[id]
			if !ok {
				return w, fmt.Errorf("attempt %v has written, and is not known", id)
			}
			accepted := strings.HasSuffix(text, "+")
			if !accepted {
				refused++
			}
			tokens = append(tokens, l.attempts[n].Token)
			w.writes = append(w.writes, history.Write{Attempt: n, Accepted: accepted})
		}
		taken, err := twin(rdb, key)
		if err != nil {
			return w, err
		}
		lost := overwritten(taken)
		w.lost += lost
		if lost != refused {
			w.note("key %s: the fenced store refused %d writes, and its twin lost %d updates", key, refused, lost)
		}
		for i, token := range tokens {
			if len(taken) != len(tokens) || taken[i] != token {
				w.note("key %s: write %d of %d is one of token %d, and the twin has another, of %d", key, i, len(tokens), token, len(taken))
				break
			}
		}
	}
	if completed := l.completed(); completed > 0 && len(w.writes) == 0 {
		w.note("%d holders have come to their end, and none of them has written", completed)
	}
	return w, nil
}

func (w *written) note(format string, args ...any) {
	w.found = append(w.found, history.Violation{Oracle: "O3", Text: fmt.Sprintf(format, args...)})
}

// twin returns the tokens that a twin has had, in their order: all but the last
// are known from having been overwritten.
func twin(rdb *redis.Client, key string) ([]uint64, error) {
	texts, err := all(rdb, "lost:"+key)
	if err != nil || len(texts) == 0 {
		return nil, err
	}
	last, err := rdb.Get(context.Background(), "twin:"+key).Result()
	if err != nil {
		return nil, err
	}
	var tokens []uint64
	for _, text := range append(texts[1:], last) {
		token, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, token)
	}
	return tokens, nil
}

// overwritten is how many of a store's tokens came after a higher one.
func overwritten(tokens []uint64) int {
	lost, highest := 0, uint64(0)
	for _, token := range tokens {
		if token < highest {
			lost++
		}
		highest = max(highest, token)
	}
	return lost
}

// all reads a list.
func all(rdb *redis.Client, name string) ([]string, error) {
	const page = 10_000
	var texts []string
	for {
		more, err := rdb.LRange(context.Background(), name, int64(len(texts)), int64(len(texts))+page-1).Result()
		texts = append(texts, more...)
		if err != nil || len(more) < page {
			return texts, err
		}
	}
}

// completed is how many holders have released their locks.
func (l *ledger) completed() int {
	n := 0
	for i := range l.attempts {
		if l.attempts[i].Outcome == history.Granted && l.attempts[i].Freed != history.Never {
			n++
		}
	}
	return n
}

// KeyName is what key n of a fleet is called.
func KeyName(n int) string { return "k" + strconv.Itoa(n) }
