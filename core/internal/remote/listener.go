package remote

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// healthInterval is how often a silent subscription is probed; one that
	// stays silent through two is given up. A half-open connection would else
	// never be noticed: nobody writes to it.
	healthInterval = 3 * time.Second

	minReconnect = 20 * time.Millisecond
	maxReconnect = time.Second
)

// Grant says that an entry was made the owner by a release.
type Grant struct {
	ID     ID
	Key    string
	Ticket string
	Block  Block
	Queued int
	// From is the last owner's metadata.
	From string
}

// Note says that another process has begun to wait for the lease of ID.
type Note struct {
	ID  ID
	Key string
}

// Handler hears what comes to a process's channel, one call at a time. It must
// not block: behind it the messages wait.
type Handler struct {
	Granted   func(Grant)
	Contended func(Note)
	// Up is called each time the subscription is confirmed: whatever was
	// published before may have been missed.
	Up func()
	// Down is called when the subscription is lost or could not be made.
	Down func(error)
}

// Listener keeps one process's subscription. Messages may be lost whenever its
// connection is: nothing may depend on one.
type Listener struct {
	rdb     redis.UniversalClient
	names   Keyspace
	channel string
	handler Handler
	cancel  context.CancelFunc
	done    chan struct{}
}

// Listen starts to listen on behalf of process p.
func (r *Room) Listen(p Process, h Handler) *Listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Listener{
		rdb: r.rdb, names: r.names, channel: r.names.channel(p), handler: h,
		cancel: cancel, done: make(chan struct{}),
	}
	go l.run(ctx)
	return l
}

// Close ends the subscription and returns when its goroutines have ended.
func (l *Listener) Close() {
	l.cancel()
	<-l.done
}

// run makes one session after another. Each has a PubSub of its own: what
// go-redis would do by itself on a broken connection is not told to us in time.
func (l *Listener) run(ctx context.Context) {
	defer close(l.done)
	pause := minReconnect
	for {
		confirmed, err := l.session(ctx)
		if ctx.Err() != nil {
			return
		}
		l.handler.Down(err)
		if confirmed {
			pause = minReconnect
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxReconnect)
	}
}

var errSilent = errors.New("redis: the subscription no longer answers")

// session subscribes and reads until the connection fails or ctx ends.
func (l *Listener) session(ctx context.Context) (confirmed bool, err error) {
	ps := l.rdb.Subscribe(ctx)
	var closing sync.Once
	closeSub := func() { closing.Do(func() { _ = ps.Close() }) }
	defer closeSub()
	defer context.AfterFunc(ctx, closeSub)() // Receive does not heed ctx
	var silent atomic.Bool
	var heard atomic.Int64
	if err := ps.Subscribe(ctx, l.channel); err != nil {
		return false, err
	}
	probe := make(chan struct{})
	var probing sync.WaitGroup
	probing.Go(func() {
		tick := time.NewTicker(healthInterval)
		defer tick.Stop()
		last, missed := int64(0), 0
		for {
			select {
			case <-probe:
				return
			case <-tick.C:
			}
			if n := heard.Load(); n != last {
				last, missed = n, 0
				continue
			}
			if missed++; missed > 1 {
				silent.Store(true)
				closeSub()
				return
			}
			_ = ps.Ping(ctx) // a failure is the reader's to notice
		}
	})
	defer probing.Wait()
	defer close(probe)

	for {
		m, err := ps.Receive(ctx)
		if err != nil {
			if silent.Load() {
				err = errSilent
			}
			return confirmed, err
		}
		heard.Add(1)
		switch m := m.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				confirmed = true
				l.handler.Up()
			}
		case *redis.Message:
			l.dispatch(m.Payload)
		}
	}
}

// dispatch hands on a message. A malformed one is dropped: like a lost one, it
// costs a poll.
func (l *Listener) dispatch(payload string) {
	kind, rest, _ := strings.Cut(payload, "\n")
	switch kind {
	case "grant":
		// The key is last: it may contain anything.
		f := strings.SplitN(rest, "\n", 7)
		if len(f) != 7 {
			return
		}
		first, err1 := strconv.ParseUint(f[1], 10, 64)
		last, err2 := strconv.ParseUint(f[2], 10, 64)
		queued, err3 := strconv.Atoi(f[3])
		key, ok := l.names.key(f[6])
		if !ok || errors.Join(err1, err2, err3) != nil {
			return
		}
		l.handler.Granted(Grant{
			ID: ID(f[4]), Key: key, Ticket: f[0], Block: Block{first, last}, Queued: queued, From: f[5],
		})
	case "note":
		f := strings.SplitN(rest, "\n", 2)
		if len(f) != 2 {
			return
		}
		if key, ok := l.names.key(f[1]); ok {
			l.handler.Contended(Note{ID: ID(f[0]), Key: key})
		}
	}
}
