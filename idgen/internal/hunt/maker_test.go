package hunt

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/latchkey-go/latchkey/idgen"
)

const (
	makers      = 2 // goroutines that share a process's generator
	makerTick   = 2 * time.Millisecond
	callTimeout = 300 * time.Millisecond
	afterError  = 5 * time.Millisecond
	hugeBlock   = 6000 // more than a millisecond holds, of some contenders
)

// epoch is when the time of IDs begins.
func epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// assignment is what a child is told to do.
type assignment struct {
	Contender string
	Redis     string // its address
	Seed      uint64
	Rate      int // IDs per second
	Shift     time.Duration
}

// carryOut is the main function of a child: it makes IDs until in ends.
func (a assignment) carryOut(in io.Reader, out io.Writer) error {
	c, err := contenderNamed(a.Contender)
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(a.Seed, 0))
	retries := 3
	if random.IntN(2) == 0 {
		retries = -1 // none
	}
	rdb := redis.NewClient(&redis.Options{
		Addr: a.Redis, MaxRetries: retries, DialerRetries: 1, DialTimeout: time.Second, ReadTimeout: time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	defer rdb.Close()
	w := &reportWriter{out: out}
	clock := newShiftingClock(random, a.Shift)
	g, err := c.open(rdb, clock.now)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	var all sync.WaitGroup
	if a.Shift > 0 {
		all.Go(func() { clock.jump(ctx, w) })
	}
	for m := range makers {
		maker := maker{
			index: m, g: g, w: w, perTick: a.Rate * int(makerTick) / int(time.Second) / makers,
			random: rand.New(rand.NewPCG(a.Seed, uint64(1+m))),
		}
		all.Go(func() { maker.run(ctx) })
	}
	all.Wait()
	if err := g.Close(); err != nil {
		w.failure(errorType(err))
	}
	return w.err
}

// maker is a goroutine that makes IDs.
type maker struct {
	index   int
	g       generator
	w       *reportWriter
	perTick int
	random  *rand.Rand
}

func (m *maker) run(ctx context.Context) {
	tick := time.NewTicker(makerTick)
	defer tick.Stop()
	buf := make([]idgen.ID, hugeBlock)
	for owed := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for owed += m.perTick; owed > 0 && ctx.Err() == nil; {
			n, err := m.call(ctx, buf)
			m.w.made(m.index, buf[:n])
			owed -= n
			if err != nil && ctx.Err() == nil {
				m.w.failure(errorType(err))
				elapse(ctx, afterError)
				owed = 0
			}
		}
	}
}

// call makes one ID, some, or a great many at once.
func (m *maker) call(ctx context.Context, buf []idgen.ID) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	dice := m.random.IntN(1000)
	switch {
	case dice < 400:
		id, err := m.g.Next(ctx)
		if err != nil {
			return 0, err
		}
		buf[0] = id
		return 1, nil
	case dice < 999:
		return m.g.NextN(ctx, buf[:1+m.random.IntN(1+2*m.perTick)])
	default:
		return m.g.NextN(ctx, buf[:1+m.random.IntN(len(buf))])
	}
}

// errorType names an error in the totals.
func errorType(err error) string {
	var typed interface{ ErrorType() string }
	switch {
	case errors.As(err, &typed):
		return typed.ErrorType()
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline"
	}
	return "other"
}

// elapse returns when the time has passed or ctx has ended.
func elapse(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
