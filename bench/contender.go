package main

import (
	"context"
	"time"
)

// ttl is the time to live of every contender's lease. None expires in a run.
const ttl = 10 * time.Second

// locker is what a contender is to its callers.
type locker interface {
	// lock waits until the key is held or ctx ends. The function that it
	// returns gives the key back and returns when that is done; it works also
	// when ctx has ended.
	lock(ctx context.Context, key string) (unlock func() error, err error)
	close()
}

// circumstances are what a contender may want to know.
type circumstances struct {
	addrs   []string // of Redis, or of the nodes of a cluster
	cluster bool
	callers int           // goroutines in this process
	poll    time.Duration // how long those wait that ask again and again
}

// contender is one way to lock.
type contender struct {
	name string
	kind kind
	// fit tells which cases it is for; nil is all of them.
	fit  func(scenario) bool
	open func(circumstances) (locker, error)
}

type kind int

const (
	ours      kind = iota
	peer           // what ours is compared with
	variant        // a peer made faster at a price that its users would rarely pay
	reference      // no lock over processes at all
)

func onHotKeys(s scenario) bool      { return s.Hot }
func onDistinctKeys(s scenario) bool { return !s.Hot }
func hotOnOneServer(s scenario) bool { return s.Hot && !s.Cluster }
func inOneProcess(s scenario) bool   { return hotOnOneServer(s) && s.Processes == 1 }

func (c contender) fits(s scenario) bool { return c.fit == nil || c.fit(s) }

const (
	nameLatchkey    = "latchkey"
	nameTenure0     = "latchkey, Tenure(0)"
	nameRecipe      = "recipe"
	nameRedislock   = "redislock"
	nameRedsync     = "redsync"
	nameRueidislock = "rueidislock"
	nameMutex       = "mutex"

	nameLazyRecipe = "recipe, lazy"
	namePipelined  = "redislock, pipelined"
)

// contenders are all of them, in the order in which they run.
func contenders() []contender {
	all := []contender{{name: nameLatchkey, kind: ours, open: openLatchkey()}}
	if tenureZero != nil {
		// It differs only where one key is wanted by many.
		all = append(all, contender{name: nameTenure0, kind: ours, open: openLatchkey(tenureZero), fit: hotOnOneServer})
	}
	return append(all,
		contender{name: nameRecipe, kind: peer, open: openRecipe},
		contender{name: nameRedislock, kind: peer, open: openRedislock},
		contender{name: nameRedsync, kind: peer, open: openRedsync},
		contender{name: nameRueidislock, kind: peer, open: openRueidislock},
		contender{name: nameLazyRecipe, kind: variant, open: openLazyRecipe, fit: onHotKeys},
		contender{name: namePipelined, kind: variant, open: openPipelinedRedislock, fit: onDistinctKeys},
		contender{name: nameMutex, kind: reference, open: openMutex, fit: inOneProcess},
	)
}

func contenderNamed(name string) (contender, bool) {
	for _, c := range contenders() {
		if c.name == name {
			return c, true
		}
	}
	return contender{}, false
}

// peerModules are whose versions are told.
func peerModules() []string {
	return []string{
		"github.com/bsm/redislock",
		"github.com/go-redsync/redsync/v4",
		"github.com/redis/rueidis",
		"github.com/redis/go-redis/v9",
	}
}
