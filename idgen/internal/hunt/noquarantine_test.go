package hunt

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/idgen"
)

// withoutQuarantine is another control: a [idgen.Snowflake] whose next holder of
// a worker's number starts now, or above the last one's ceiling. A Redis that has
// lost data does not know that ceiling. Few come next within the window that was
// lost, so this takes a long hunt.
func withoutQuarantine() contender {
	c := snowflake()
	c.name = "Snowflake without quarantine"
	c.open = func(rdb *redis.Client, now func() time.Time) (generator, error) {
		return newSnowflake(quarantineRemover{rdb}, now)
	}
	return c
}

// quarantineRemover takes the quarantine out of the scripts that pass.
type quarantineRemover struct{ redis.Scripter }

const quarantine = "math.max(now + window + skew, floor)"

var errNoQuarantine = errors.New("hunt: the script has no quarantine where it is looked for")

func (r quarantineRemover) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	if strings.Contains(script, "'extended'") {
		if strings.Count(script, quarantine) != 1 {
			panic(errNoQuarantine)
		}
		script = strings.Replace(script, quarantine, "now", 1)
	}
	return r.Scripter.Eval(ctx, script, keys, args...)
}

// EvalSha knows no script, so that its source is sent.
func (r quarantineRemover) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(noScript{})
	return cmd
}

type noScript struct{}

func (noScript) Error() string { return "NOSCRIPT" }
func (noScript) RedisError()   {}

var _ redis.Error = noScript{}
var _ idgen.SnowflakeRedis = quarantineRemover{}
