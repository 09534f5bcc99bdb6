package fleet

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/torture/history"
)

// The stores are a Redis of their own, which no fault strikes. It checks fencing
// tokens, and keeps a list of all writes with what it did, from which what a store
// without checks would have made of them can be told.
var store = redis.NewScript(`
local ok = tonumber(ARGV[1]) >= tonumber(redis.call('GET', KEYS[1]) or '0')
if ok then redis.call('SET', KEYS[1], ARGV[1]) end
redis.call('RPUSH', KEYS[2], ARGV[2] .. (ok and '+' or '-'))
return ok and 1 or 0`)

// writeTo has the holder of an attempt write.
func writeTo(ctx context.Context, rdb *redis.Client, key string, token uint64, id attemptID) error {
	return store.Run(ctx, rdb, []string{"fence:" + key, "log:" + key}, strconv.FormatUint(token, 10), id.String()).Err()
}

// attemptID names an attempt over all processes.
type attemptID struct{ process, number uint32 }

func (a attemptID) String() string { return fmt.Sprintf("%d.%d", a.process, a.number) }

// writes reads the stores' list. Each write is one of a known attempt.
func writes(t *testing.T, rdb *redis.Client, keys int, index map[attemptID]int) []history.Write {
	var all []history.Write
	for k := range keys {
		const page = 10_000
		for from := int64(0); ; from += page {
			log, err := rdb.LRange(context.Background(), "log:"+keyName(k), from, from+page-1).Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range log {
				var id attemptID
				if _, err := fmt.Sscanf(strings.TrimRight(text, "+-"), "%d.%d", &id.process, &id.number); err != nil {
					t.Fatal(err)
				}
				n, ok := index[id]
				if !ok {
					t.Fatalf("attempt %v has written, and is not known", id)
				}
				all = append(all, history.Write{Attempt: n, Accepted: strings.HasSuffix(text, "+")})
			}
			if len(log) < page {
				break
			}
		}
	}
	return all
}

func keyName(n int) string { return "k" + strconv.Itoa(n) }
