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
	// never be noticed: nobody writes to it. It is noticed after one to three
	// intervals, because the first may begin just after an answer.
	healthInterval = 2 * time.Second

	minReconnect = 20 * time.Millisecond
	maxReconnect = time.Second

	// closeGrace is how long Close waits for a session that is stuck in the
	// client. Others end at once.
	closeGrace = 100 * time.Millisecond
)

// Grant says that an entry was made the owner by a release.
type Grant struct {
	ID     ID
	Key    string
	Ticket uint64
	Block  Block
	Queued int
	// From is the last owner's metadata.
	From string
}

// Note says that another process has begun to wait for the lease of ID, or that
// an operator has broken it.
type Note struct {
	ID  ID
	Key string
}

// Handler hears what comes to a process's channel, one call at a time. It must
// not block: behind it the messages wait.
type Handler struct {
	Granted   func(Grant)
	Contended func(Note)
	Broken    func(Note)
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
	names   *Keyspace
	process Process
	handler Handler
	ctx     context.Context
	cancel  context.CancelFunc
	done    chan struct{}
	calling sync.Mutex // the handler
}

// Listen starts to listen on behalf of process p.
func (r *Room) Listen(p Process, h Handler) *Listener {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Listener{
		rdb: r.rdb, names: r.names, process: p, handler: h,
		ctx: ctx, cancel: cancel, done: make(chan struct{}),
	}
	go l.run()
	return l
}

// Close ends the subscription. When it returns, the handler is not and will not
// be called, and no goroutine is left, except for one that is stuck in the
// client, connecting to a server that does not answer: it ends with the client's
// own timeouts, or when the client is closed. The handler must not call Close.
func (l *Listener) Close() {
	l.cancel()
	<-l.done
	l.calling.Lock() // a call may still be under way, and is the last
	defer l.calling.Unlock()
}

// call calls f, which is of the handler, unless the listener has been closed.
func (l *Listener) call(f func()) {
	l.calling.Lock()
	defer l.calling.Unlock()
	if l.ctx.Err() == nil {
		f()
	}
}

// run makes one session after another. Each has a PubSub of its own: what
// go-redis would do by itself on a broken connection is not told to us in time.
func (l *Listener) run() {
	defer close(l.done)
	pause := minReconnect
	for {
		ended := make(chan ending, 1)
		go func() { ended <- l.session(l.ctx) }()
		var end ending
		select {
		case end = <-ended:
		case <-l.ctx.Done():
			select {
			case <-ended:
			case <-time.After(closeGrace):
			}
			return
		}
		l.call(func() { l.handler.Down(end.err) })
		if end.confirmed {
			pause = minReconnect
		}
		select {
		case <-l.ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, maxReconnect)
	}
}

var errSilent = errors.New("redis: the subscription no longer answers")

// ending is how a session ended, and whether its subscription was confirmed.
type ending struct {
	confirmed bool
	err       error
}

// session subscribes and reads until the connection fails or ctx ends.
func (l *Listener) session(ctx context.Context) (end ending) {
	ps := l.rdb.Subscribe(ctx)
	var closing sync.Once
	closeSub := func() { closing.Do(func() { _ = ps.Close() }) }
	defer closeSub()
	defer context.AfterFunc(ctx, closeSub)() // Receive does not heed ctx
	var silent atomic.Bool
	var heard atomic.Int64
	if err := ps.Subscribe(ctx, l.names.channel(l.process)); err != nil {
		return ending{err: err}
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
			if end.err = err; silent.Load() {
				end.err = errSilent
			}
			return end
		}
		heard.Add(1)
		switch m := m.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				end.confirmed = true
				l.call(l.handler.Up)
			}
		case *redis.Message:
			l.call(func() { l.dispatch(m.Payload) })
		}
	}
}

// dispatch hands on a message. A malformed one is dropped: like a lost one, it
// costs a poll. So is one about another process's entry: whoever is told of an
// entry that he does not know gives its lease back.
func (l *Listener) dispatch(payload string) {
	kind, rest, _ := strings.Cut(payload, "\n")
	switch kind {
	case "grant":
		// The key is last: it may contain anything.
		f := strings.SplitN(rest, "\n", 7)
		if len(f) != 7 {
			return
		}
		ticket, err0 := strconv.ParseUint(f[0], 10, 64)
		first, err1 := strconv.ParseUint(f[1], 10, 64)
		last, err2 := strconv.ParseUint(f[2], 10, 64)
		queued, err3 := strconv.Atoi(f[3])
		id := ID(f[4])
		key, ok := l.subject(id, f[6])
		if !ok || first > last || errors.Join(err0, err1, err2, err3) != nil {
			return
		}
		l.handler.Granted(Grant{
			ID: id, Key: key, Ticket: ticket, Block: Block{first, last}, Queued: queued, From: f[5],
		})
	case "note", "broken":
		f := strings.SplitN(rest, "\n", 2)
		if len(f) != 2 {
			return
		}
		id := ID(f[0])
		key, ok := l.subject(id, f[1])
		switch {
		case !ok:
		case kind == "note":
			l.handler.Contended(Note{ID: id, Key: key})
		default:
			l.handler.Broken(Note{ID: id, Key: key})
		}
	}
}

// subject returns the key that a message about an entry and a lease is about,
// and false if that is none of this process's business.
func (l *Listener) subject(id ID, lease string) (key string, ok bool) {
	if _, ok := id.Of(l.process); !ok {
		return "", false
	}
	return l.names.key(lease)
}
