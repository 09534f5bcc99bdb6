package remote

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// detourPatience is for how long an operation looks for the node that
	// carries it out, while slots move or a replica takes over.
	detourPatience = 2 * time.Second
	// nodeCrowd is how many operations in a trip make it worth while to wait for
	// one trip's end before the next: those of a process go to several nodes, so
	// that few would go together. (64 callers on three nodes, two cores: 1.5 times
	// as many locks as with three trips at once. Where few call, it would cost them
	// half a round trip.)
	nodeCrowd      = 2
	minDetourPause = 4 * time.Millisecond
	maxDetourPause = 128 * time.Millisecond
)

// surveyPauses is when it is looked where the buckets are, after something hinted
// that they have moved: the client learns of it in its own time.
var surveyPauses = []time.Duration{
	2 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second,
}

// places knows on which node of a cluster each bucket is, and has a lane to each
// of them. A node that does not answer holds up its own buckets only.
//
// Where the slots are is the client's knowledge, and so are the nodes' own
// clients, with their pools and hooks.
type places struct {
	room    *Room
	rdb     clusterClient
	names   *Keyspace
	courier *courier
	to      [buckets]atomic.Pointer[lane] // nil: not looked for yet

	mu        sync.Mutex
	lanes     map[*redis.Client]*lane
	homeless  []*task   // their bucket's place is being looked for
	seeking   time.Time // since when the client has been asked for a place; zero if it is not
	lost      lost
	listeners map[*Listener]struct{}
	surveying bool
	round     int           // of the survey
	hint      chan struct{} // capacity 1: something hints at a move, in a long pause of the survey
}

// lost is that the client cannot learn where the nodes are: while it lasts, nobody
// who needs an answer at once waits for that to be found out again. Guarded by
// places.mu.
type lost struct {
	since time.Time // zero if it can
	fault error     // the last
	pause time.Duration
	again *time.Timer // asks on nobody's behalf
}

// unplaced is the error of an operation that was not sent, because it was not
// known where to.
type unplaced struct{ error }

func (u unplaced) Unwrap() error { return u.error }

// detours are what has become of a task that its first trip has not settled.
type detours struct {
	since      time.Time // the first
	n          int
	unanswered int // trips that had no answer
}

func newPlaces(room *Room, rdb clusterClient) *places {
	return &places{
		room: room, rdb: rdb, names: room.names, courier: newCourier(room),
		lanes: make(map[*redis.Client]*lane), listeners: make(map[*Listener]struct{}),
		hint: make(chan struct{}, 1),
	}
}

// of returns the lane to the keys of n, nil if it is not known.
func (p *places) of(n Names) *lane { return p.to[n.bucket].Load() }

// do has k carried to its node.
func (p *places) do(k *task) {
	if l := p.of(k.op.names); l != nil {
		l.do(k)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.homeless = append(p.homeless, k)
	if p.seeking.IsZero() {
		p.seeking = time.Now()
		go p.seek()
	}
}

// down returns a *DownError if the node of n counts as down, or the client does
// not learn which that is.
func (p *places) down(n Names) error {
	if l := p.of(n); l != nil {
		err := l.down()
		if err != nil {
			p.survey() // another may have taken over
		}
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.lost.since.IsZero():
		return &DownError{p.lost.since, p.lost.fault}
	case !p.seeking.IsZero() && time.Since(p.seeking) > silence:
		return &DownError{Since: p.seeking}
	}
	return nil
}

// seek finds the place of those that wait for it. At first that takes the client
// a trip of its own.
func (p *places) seek() {
	for {
		p.mu.Lock()
		tasks := p.homeless
		p.homeless = nil
		if len(tasks) == 0 {
			p.seeking = time.Time{}
			p.mu.Unlock()
			return
		}
		p.seeking = time.Now()
		p.mu.Unlock()
		var fault error // the first: it may have taken long, and says enough
		for _, k := range tasks {
			var l *lane
			if fault == nil {
				l, fault = p.locate(k.op.names.bucket)
			}
			if fault == nil {
				l.do(k)
				continue
			}
			k.err = unplaced{fault}
			if p.room.ctx.Err() != nil {
				k.err = ErrRoomClosed
			}
			if sent := time.Now(); !p.detour(k, sent) {
				k.answer(sent)
			}
		}
	}
}

// locate asks the client where a bucket is, and notes it.
func (p *places) locate(bucket byte) (*lane, error) {
	node, err := p.room.masterOf(p.room.ctx, bucket)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.learnt(err)
	if err != nil {
		return nil, err
	}
	l := p.lane(node)
	p.to[bucket].Store(l)
	return l, nil
}

// learnt notes whether the client knows the nodes. The caller holds mu.
func (p *places) learnt(err error) {
	switch {
	case err == nil || refused(err):
		p.lost.since, p.lost.fault, p.lost.pause = time.Time{}, nil, 0
	case p.room.ctx.Err() != nil:
	case p.lost.since.IsZero():
		p.lost.since, p.lost.pause = time.Now(), minProbePause
		p.lost.again = time.AfterFunc(minProbePause, p.lookAgain)
		fallthrough
	default:
		p.lost.fault = err
	}
}

// lookAgain asks whether the client knows the nodes by now, unless that is being
// asked on behalf of an operation.
func (p *places) lookAgain() {
	p.mu.Lock()
	if p.lost.since.IsZero() || p.room.ctx.Err() != nil {
		p.mu.Unlock()
		return
	}
	seeking := !p.seeking.IsZero()
	p.mu.Unlock()
	if !seeking {
		_, _ = p.locate(0) // which takes note of the error
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.lost.since.IsZero() {
		p.lost.pause = min(2*p.lost.pause, maxProbePause)
		p.lost.again.Reset(p.lost.pause)
	}
}

// lane returns the lane to a node. The caller holds mu.
func (p *places) lane(node *redis.Client) *lane {
	l := p.lanes[node]
	if l == nil {
		l = newLane(p.room, node, p.courier.toNode)
		l.crowd = nodeCrowd
		l.repeats.most = 0 // the next attempt may have to go elsewhere
		l.detour, l.fails = p.detour, p.survey
		p.lanes[node] = l
	}
	return l
}

// detour takes k over, which its node did not carry out, if it may be carried out
// yet. Sent is when it was sent to that node.
func (p *places) detour(k *task, sent time.Time) bool {
	err, d := k.err, &k.detours
	moved := redirects(err) || errors.Is(err, errMoves)
	if p.room.ctx.Err() != nil || refused(err) && !passes(err) && !moved {
		return false
	}
	if d.since.IsZero() {
		d.since = time.Now()
	}
	_, unsent := errors.AsType[unplaced](err)
	unsent = unsent || errors.Is(err, redis.ErrClosed) // by a node that has left the cluster
	if !refused(err) && !unsent {
		k.failed(sent, err)
		if !moved && !errors.Is(err, errStrict) && !errors.Is(err, errDown) {
			d.unanswered++
		}
	}
	if d.unanswered > max(0, p.rdb.Options().MaxRedirects) || time.Since(d.since) >= detourPatience {
		return false
	}
	p.survey()
	pause := min(maxDetourPause, minDetourPause<<min(d.n, 16))
	if moved && d.n == 0 {
		pause = 0
	}
	d.n++
	time.AfterFunc(pause/2+rand.N(pause/2+1), func() {
		if moved && p.courier.ack.Replicas == 0 { // the client would take two connections
			p.follow(k)
			return
		}
		p.again(k)
	})
	return true
}

// again has k carried to its node, which may be another by now.
func (p *places) again(k *task) {
	b := k.op.names.bucket
	if before := p.to[b].Load(); before != nil {
		if l, err := p.locate(b); err == nil && l != before {
			p.relocate(true)
		}
	}
	p.do(k)
}

// follow has k carried out by way of the client, which goes where the node
// points, also to one that is only about to have the keys.
func (p *places) follow(k *task) {
	sent := time.Now()
	b := newBatch([]*task{k})
	_ = p.courier.together(p.room.ctx, p.rdb, b) // an error is in the result
	p.courier.clusterErrors(b)
	if k.result = b.results[0]; k.err == nil || !p.detour(k, sent) {
		k.answer(sent)
	}
}

// survey has it looked, now and for some time, where the buckets are.
func (p *places) survey() {
	p.rdb.ReloadState(p.room.ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.surveying && p.round > 2 { // the present pause is a long one
		select {
		case p.hint <- struct{}{}:
		default:
		}
	}
	p.round = min(p.round, 1) // who asks often does not have it looked more often
	if !p.surveying && p.room.ctx.Err() == nil {
		p.surveying, p.round = true, 0
		go p.look()
	}
}

func (p *places) look() {
	loaded := time.Now() // survey has had the client begin to
	for {
		p.mu.Lock()
		if p.round == len(surveyPauses) || p.room.ctx.Err() != nil {
			p.surveying = false
			p.mu.Unlock()
			return
		}
		pause := surveyPauses[p.round]
		p.round++
		p.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-p.hint:
			select {
			case <-time.After(surveyPauses[1]):
			case <-p.room.ctx.Done():
				continue
			}
		case <-p.room.ctx.Done():
			continue
		}
		if time.Since(loaded) >= minLoadPause {
			loaded = time.Now()
			p.load()
		}
		p.relocate(false)
	}
}

// relocate asks where each bucket is that has a place, and tells listeners if one
// has moved, or already had.
func (p *places) relocate(moved bool) {
	for b := range p.to {
		if before := p.to[b].Load(); before != nil {
			l, err := p.locate(byte(b))
			moved = moved || err == nil && l != before
		}
	}
	if !moved {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	used := make(map[*lane]bool)
	for b := range p.to {
		used[p.to[b].Load()] = true
	}
	for node, l := range p.lanes {
		if !used[l] {
			delete(p.lanes, node)
			l.retire()
		}
	}
	for l := range p.listeners {
		l.rouse()
	}
}

// all returns the lanes.
func (p *places) all() []*lane {
	p.mu.Lock()
	defer p.mu.Unlock()
	lanes := make([]*lane, 0, len(p.lanes))
	for _, l := range p.lanes {
		lanes = append(lanes, l)
	}
	return lanes
}

// stop ends what would go on by itself.
func (p *places) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.lanes {
		l.stop()
	}
	if p.lost.again != nil {
		p.lost.again.Stop()
	}
}

// notify has l told when buckets have moved.
func (p *places) notify(l *Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listeners[l] = struct{}{}
}

func (p *places) ignore(l *Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.listeners, l)
}
