package hunt

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/idgen"
)

const (
	setnxWorkers      = processes // as many as it needs
	setnxWorkerBits   = 10
	setnxSequenceBits = 12
	setnxLook         = 50 * time.Millisecond // how often a number is looked for
)

// setnx is the control: what many teams run. A number of its own for each
// process, leased by SET NX PX, renewed at a third of its TTL and given back on
// Close; IDs of milliseconds, number and a sequence. It is done with care: only
// the owner renews and gives back, a number that could not be renewed for the
// TTL is given up, and a clock that goes back does not take the IDs with it.
// What it lacks is the subject of this package.
func setnx() contender {
	return contender{
		name: "setnx",
		open: func(rdb *redis.Client, now func() time.Time) (generator, error) {
			ctx, cancel := context.WithCancel(context.Background())
			s := &setnxGenerator{rdb: rdb, now: now, owner: rand.Text(), worker: -1, cancel: cancel}
			s.keeper.Go(func() { s.keep(ctx) })
			return s, nil
		},
		split: func(id idgen.ID) (int, int64) {
			sequence := int64(id) & (1<<setnxSequenceBits - 1)
			ms := int64(id) >> (setnxWorkerBits + setnxSequenceBits)
			return int(id>>setnxSequenceBits) & (1<<setnxWorkerBits - 1), ms<<setnxSequenceBits | sequence
		},
	}
}

type setnxGenerator struct {
	rdb    *redis.Client
	now    func() time.Time
	owner  string
	cancel context.CancelFunc
	keeper sync.WaitGroup

	mu     sync.Mutex
	worker int   // -1 without one
	place  int64 // of the last ID: milliseconds and sequence
}

// setnxError is an error by its name.
type setnxError string

func (e setnxError) Error() string     { return "setnx: " + string(e) }
func (e setnxError) ErrorType() string { return string(e) }

func (s *setnxGenerator) Next(ctx context.Context) (idgen.ID, error) {
	var one [1]idgen.ID
	_, err := s.NextN(ctx, one[:])
	return one[0], err
}

func (s *setnxGenerator) NextN(_ context.Context, dst []idgen.ID) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.worker < 0 {
		return 0, setnxError("no_number")
	}
	for i := range dst {
		s.place = max(s.place+1, s.now().Sub(epoch()).Milliseconds()<<setnxSequenceBits)
		ms, sequence := s.place>>setnxSequenceBits, s.place&(1<<setnxSequenceBits-1)
		dst[i] = idgen.ID(ms<<(setnxWorkerBits+setnxSequenceBits) | int64(s.worker)<<setnxSequenceBits | sequence)
	}
	return len(dst), nil
}

func (s *setnxGenerator) Close() error {
	s.cancel()
	s.keeper.Wait()
	worker := s.worker
	s.setWorker(-1)
	if worker < 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), leaseTTL)
	defer cancel()
	return setnxRelease.Run(ctx, s.rdb, []string{setnxKey(worker)}, s.owner).Err()
}

var (
	setnxRenew = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0`)
	setnxRelease = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)
)

func setnxKey(worker int) string { return "setnx:worker:" + strconv.Itoa(worker) }

func (s *setnxGenerator) setWorker(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.worker = n
}

// keep leases a number and renews it until ctx ends. Only it changes s.worker
// until then.
func (s *setnxGenerator) keep(ctx context.Context) {
	var renewed time.Time
	for ctx.Err() == nil {
		asked := time.Now()
		if s.worker < 0 {
			if n := s.lease(ctx); n >= 0 {
				renewed = asked
				s.setWorker(n)
			} else {
				elapse(ctx, setnxLook)
				continue
			}
		}
		elapse(ctx, leaseTTL/3)
		asked = time.Now()
		ok, err := setnxRenew.Run(ctx, s.rdb, []string{setnxKey(s.worker)}, s.owner, leaseTTL.Milliseconds()).Bool()
		switch {
		case ok:
			renewed = asked
		case err == nil, time.Since(renewed) > leaseTTL:
			if ctx.Err() == nil {
				s.setWorker(-1)
			}
		}
	}
}

// lease returns a number that was free, or -1.
func (s *setnxGenerator) lease(ctx context.Context) int {
	for _, n := range mathrand.Perm(setnxWorkers) {
		if ok, err := s.rdb.SetNX(ctx, setnxKey(n), s.owner, leaseTTL).Result(); err != nil {
			return -1
		} else if ok {
			return n
		}
	}
	return -1
}
