package core

import (
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// maxPast is how much is remembered of each kind. What is beyond it takes the place
// of something else, at random.
const maxPast = 4096

// history is what a RedisLocker remembers to tell those whom it refuses when to come
// again. A key takes a place in it only once somebody was refused there, so that the
// many that nobody contends for neither cost anything nor drive out the few. Its
// fields are guarded by RedisLocker.mu.
type history struct {
	byName map[string]holdTimes  // of each [Name]: mostly a route
	byKey  map[keyName]holdTimes // of keys where somebody was refused
	owners map[string]owner      // of keys that another process was seen to hold
}

// keyName is a key as it is held under a name: two routes may share keys, and hold
// them for different times.
type keyName struct{ key, name string }

// owner is a lease of another process, and when this one first saw it. How old it is
// by its own clock is not known here.
type owner struct {
	lease backend.ID
	since time.Time
}

func newHistory() history {
	return history{byName: map[string]holdTimes{}, byKey: map[keyName]holdTimes{}, owners: map[string]owner{}}
}

// released notes a hold that has ended.
func (p *history) released(key, name string, held time.Duration) {
	if name != "" {
		remember(p.byName, name, p.byName[name].and(held))
	}
	if len(p.byKey) > 0 {
		if h, watched := p.byKey[keyName{key, name}]; watched {
			p.byKey[keyName{key, name}] = h.and(held)
		}
	}
}

// holdsOf returns how long key is held under name, or else whatever is held under
// that name. From now on the key is watched.
func (p *history) holdsOf(key, name string) holdTimes {
	h, watched := p.byKey[keyName{key, name}]
	if !watched {
		remember(p.byKey, keyName{key, name}, holdTimes{})
	}
	if h == (holdTimes{}) {
		return p.byName[name]
	}
	return h
}

// seen notes that another process holds key.
func (p *history) seen(key string, lease backend.ID, now time.Time) {
	if o, known := p.owners[key]; !known || o.lease != lease {
		remember(p.owners, key, owner{backend.ID(strings.Clone(string(lease))), now})
	}
}

// ageOfOwner is for how long the present owner of key was seen to hold it.
func (p *history) ageOfOwner(key string, now time.Time) time.Duration {
	if o, known := p.owners[key]; known {
		return now.Sub(o.since)
	}
	return 0
}

// remember puts v into m, which keeps to its bound.
func remember[K comparable, V any](m map[K]V, k K, v V) {
	if _, known := m[k]; !known && len(m) >= maxPast {
		for other := range m {
			delete(m, other)
			break
		}
	}
	m[k] = v
}

// holdTimes is how long holds take: a moving average and its mean deviation, as TCP
// follows its round trips (RFC 6298, section 2). The zero holdTimes are of none.
type holdTimes struct{ mean, deviation time.Duration }

// and is h with one more.
func (h holdTimes) and(d time.Duration) holdTimes {
	d = max(d, 1)
	if h.mean == 0 {
		return holdTimes{mean: d}
	}
	off := d - h.mean
	h.mean += off / 8
	h.deviation += (max(off, -off) - h.deviation) / 4
	return h
}

// most is what most holds do not exceed.
func (h holdTimes) most() time.Duration { return h.mean + max(h.mean/8, h.deviation) }
