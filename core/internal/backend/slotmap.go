package backend

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
	// nodeCrowd is how many operations in a flight make it worth while to wait for
	// one flight's end before the next: those of a process go to several nodes, so
	// that few would go together. (64 callers on three nodes, two cores: 1.5 times
	// as many locks as with three flights at once. Where few call, it would cost them
	// half a round trip.)
	nodeCrowd      = 2
	minDetourPause = 4 * time.Millisecond
	maxDetourPause = 128 * time.Millisecond
)

// refreshPauses is when it is looked where the buckets are, after something hinted
// that they have moved: the client learns of it in its own time.
var refreshPauses = []time.Duration{
	2 * time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond, time.Second,
}

// slotMap knows on which node of a cluster each bucket is, and has a batcher to each
// of them. A node that does not answer holds up its own buckets only.
//
// Where the slots are is the client's knowledge, and so are the nodes' own
// clients, with their pools and hooks.
type slotMap struct {
	backend   *Backend
	rdb       clusterClient
	names     *Keyspace
	executor  *executor
	batcherOf [buckets]atomic.Pointer[batcher] // nil: not looked for yet

	mu          sync.Mutex
	batchers    map[*redis.Client]*batcher
	unassigned  []*call   // their bucket's server is being looked for
	resolving   time.Time // since when the client has been asked for a place; zero if it is not
	outageState resolveOutage
	listeners   map[*Listener]struct{}
	refreshing  bool
	round       int           // of the refresh
	hint        chan struct{} // capacity 1: something hints at a move, in a long pause of the refresh
}

// resolveOutage is that the client cannot learn where the nodes are: while it lasts, nobody
// who needs an answer at once waits for that to be found out again. Guarded by
// slotMap.mu.
type resolveOutage struct {
	since time.Time // zero if it can
	fault error     // the last
	pause time.Duration
	again *time.Timer // asks on nobody's behalf
}

// unassignedError is the error of an operation that was not sent, because it was not
// known where to.
type unassignedError struct{ error }

func (u unassignedError) Unwrap() error { return u.error }

// reroutes are what has become of an operation that its first flight has not settled.
type reroutes struct {
	since      time.Time // the first
	n          int
	unanswered int // flights that had no answer
}

func newSlotMap(be *Backend, rdb clusterClient) *slotMap {
	return &slotMap{
		backend: be, rdb: rdb, names: be.names, executor: newExecutor(be),
		batchers: make(map[*redis.Client]*batcher), listeners: make(map[*Listener]struct{}),
		hint: make(chan struct{}, 1),
	}
}

// of returns the batcher to the keys of n, nil if it is not known.
func (m *slotMap) of(n Names) *batcher { return m.batcherOf[n.bucket].Load() }

// do has k carried to its node.
func (m *slotMap) do(k *call) {
	if l := m.of(k.op.names); l != nil {
		l.submit(k)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unassigned = append(m.unassigned, k)
	if m.resolving.IsZero() {
		m.resolving = time.Now()
		go m.resolveMissing()
	}
}

// down returns a *DownError if the node of n counts as down, or the client does
// not learn which that is.
func (m *slotMap) down(n Names) error {
	if l := m.of(n); l != nil {
		err := l.down()
		if err != nil {
			m.refresh() // another may have taken over
		}
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !m.outageState.since.IsZero():
		return &DownError{m.outageState.since, m.outageState.fault}
	case !m.resolving.IsZero() && time.Since(m.resolving) > silence:
		return &DownError{Since: m.resolving}
	}
	return nil
}

// resolveMissing finds the place of those that wait for it. At first that takes the client
// a flight of its own.
func (m *slotMap) resolveMissing() {
	for {
		m.mu.Lock()
		tasks := m.unassigned
		m.unassigned = nil
		if len(tasks) == 0 {
			m.resolving = time.Time{}
			m.mu.Unlock()
			return
		}
		m.resolving = time.Now()
		m.mu.Unlock()
		var fault error // the first: it may have taken long, and says enough
		for _, k := range tasks {
			var l *batcher
			if fault == nil {
				l, fault = m.resolve(k.op.names.bucket)
			}
			if fault == nil {
				l.submit(k)
				continue
			}
			k.err = unassignedError{fault}
			if m.backend.ctx.Err() != nil {
				k.err = ErrClosed
			}
			if sent := time.Now(); !m.reroute(k, sent) {
				k.answer(sent)
			}
		}
	}
}

// resolve asks the client where a bucket is, and notes it.
func (m *slotMap) resolve(bucket byte) (*batcher, error) {
	node, err := m.backend.masterOf(m.backend.ctx, bucket)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.onResolved(err)
	if err != nil {
		return nil, err
	}
	l := m.batcher(node)
	m.batcherOf[bucket].Store(l)
	return l, nil
}

// onResolved notes whether the client knows the nodes. The caller holds mu.
func (m *slotMap) onResolved(err error) {
	switch {
	case err == nil || isServerReply(err):
		m.outageState.since, m.outageState.fault, m.outageState.pause = time.Time{}, nil, 0
	case m.backend.ctx.Err() != nil:
	case m.outageState.since.IsZero():
		m.outageState.since, m.outageState.pause = time.Now(), minProbePause
		m.outageState.again = time.AfterFunc(minProbePause, m.resolveAgain)
		fallthrough
	default:
		m.outageState.fault = err
	}
}

// resolveAgain asks whether the client knows the nodes by now, unless that is being
// asked on behalf of an operation.
func (m *slotMap) resolveAgain() {
	m.mu.Lock()
	if m.outageState.since.IsZero() || m.backend.ctx.Err() != nil {
		m.mu.Unlock()
		return
	}
	seeking := !m.resolving.IsZero()
	m.mu.Unlock()
	if !seeking {
		_, _ = m.resolve(0) // which takes note of the error
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.outageState.since.IsZero() {
		m.outageState.pause = min(2*m.outageState.pause, maxProbePause)
		m.outageState.again.Reset(m.outageState.pause)
	}
}

// batcher returns the batcher to a node. The caller holds mu.
func (m *slotMap) batcher(node *redis.Client) *batcher {
	l := m.batchers[node]
	if l == nil {
		l = newBatcher(m.backend, node, m.executor.execOnNode)
		l.crowd = nodeCrowd
		l.repeats.most = 0 // the next attempt may have to go elsewhere
		l.reroute, l.onFailure = m.reroute, m.refresh
		m.batchers[node] = l
	}
	return l
}

// reroute takes k over, which its node did not carry out, if it may be carried out
// yet. Sent is when it was sent to that node.
func (m *slotMap) reroute(k *call, sent time.Time) bool {
	err, d := k.err, &k.reroutes
	moved := isRedirect(err) || errors.Is(err, errMoves)
	if m.backend.ctx.Err() != nil || isServerReply(err) && !isTransient(err) && !moved {
		return false
	}
	if d.since.IsZero() {
		d.since = time.Now()
	}
	_, unsent := errors.AsType[unassignedError](err)
	unsent = unsent || errors.Is(err, redis.ErrClosed) // by a node that has left the cluster
	if !isServerReply(err) && !unsent {
		k.failed(sent, err)
		if !moved && !errors.Is(err, errStrict) && !errors.Is(err, errDown) {
			d.unanswered++
		}
	}
	if d.unanswered > max(0, m.rdb.Options().MaxRedirects) || time.Since(d.since) >= detourPatience {
		return false
	}
	m.refresh()
	pause := min(maxDetourPause, minDetourPause<<min(d.n, 16))
	if moved && d.n == 0 {
		pause = 0
	}
	d.n++
	time.AfterFunc(pause/2+rand.N(pause/2+1), func() {
		if moved && m.executor.ack.Replicas == 0 { // the client would take two connections
			m.followRedirect(k)
			return
		}
		m.sendAgain(k)
	})
	return true
}

// sendAgain has k carried to its node, which may be another by now.
func (m *slotMap) sendAgain(k *call) {
	b := k.op.names.bucket
	if before := m.batcherOf[b].Load(); before != nil {
		if l, err := m.resolve(b); err == nil && l != before {
			m.reassign(true)
		}
	}
	m.do(k)
}

// followRedirect has k carried out by way of the client, which goes where the node
// points, also to one that is only about to have the keys.
func (m *slotMap) followRedirect(k *call) {
	sent := time.Now()
	b := newBatch([]*call{k})
	_ = m.executor.execBatch(m.backend.ctx, m.rdb, b) // an error is in the result
	m.executor.clusterErrors(b)
	if k.result = b.results[0]; k.err == nil || !m.reroute(k, sent) {
		k.answer(sent)
	}
}

// refresh has it looked, now and for some time, where the buckets are.
func (m *slotMap) refresh() {
	m.rdb.ReloadState(m.backend.ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refreshing && m.round > 2 { // the present pause is a long one
		select {
		case m.hint <- struct{}{}:
		default:
		}
	}
	m.round = min(m.round, 1) // who asks often does not have it looked more often
	if !m.refreshing && m.backend.ctx.Err() == nil {
		m.refreshing, m.round = true, 0
		go m.reload()
	}
}

func (m *slotMap) reload() {
	loaded := time.Now() // refresh has had the client begin to
	for {
		m.mu.Lock()
		if m.round == len(refreshPauses) || m.backend.ctx.Err() != nil {
			m.refreshing = false
			m.mu.Unlock()
			return
		}
		pause := refreshPauses[m.round]
		m.round++
		m.mu.Unlock()
		select {
		case <-time.After(pause):
		case <-m.hint:
			select {
			case <-time.After(refreshPauses[1]):
			case <-m.backend.ctx.Done():
				continue
			}
		case <-m.backend.ctx.Done():
			continue
		}
		if time.Since(loaded) >= minLoadPause {
			loaded = time.Now()
			m.load()
		}
		m.reassign(false)
	}
}

// reassign asks where each bucket is that has a place, and tells listeners if one
// has moved, or already had.
func (m *slotMap) reassign(moved bool) {
	for b := range m.batcherOf {
		if before := m.batcherOf[b].Load(); before != nil {
			l, err := m.resolve(byte(b))
			moved = moved || err == nil && l != before
		}
	}
	if !moved {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	used := make(map[*batcher]bool)
	for b := range m.batcherOf {
		used[m.batcherOf[b].Load()] = true
	}
	for node, l := range m.batchers {
		if !used[l] {
			delete(m.batchers, node)
			l.retire()
		}
	}
	for l := range m.listeners {
		l.wakeUp()
	}
}

// all returns the batchers.
func (m *slotMap) all() []*batcher {
	m.mu.Lock()
	defer m.mu.Unlock()
	lanes := make([]*batcher, 0, len(m.batchers))
	for _, l := range m.batchers {
		lanes = append(lanes, l)
	}
	return lanes
}

// stop ends what would go on by itself.
func (m *slotMap) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.batchers {
		l.stop()
	}
	if m.outageState.again != nil {
		m.outageState.again.Stop()
	}
}

// notify has l told when buckets have moved.
func (m *slotMap) notify(l *Listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listeners[l] = struct{}{}
}

func (m *slotMap) ignore(l *Listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.listeners, l)
}
