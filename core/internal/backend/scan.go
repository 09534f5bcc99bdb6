package backend

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// scanCount is how many keys of its own Redis looks at in one step of a scan, about:
// as long as that takes, it does nothing else.
const scanCount = 500

// Scan goes over all keys that have a lease. It is not safe for concurrent use.
type Scan struct {
	be      *Backend
	pattern string
	found   map[string]struct{} // SCAN may return a name more than once
	servers []scanner           // those to be scanned yet; nil if that is not known
	cursor  uint64              // in the first of them
}

// scanner is what a scan needs of a client.
type scanner interface {
	ScanType(ctx context.Context, cursor uint64, match string, count int64, keyType string) *redis.ScanCmd
}

// masters is a client of several servers, each of which knows its own keys only: a
// *redis.ClusterClient.
type masters interface {
	ForEachMaster(ctx context.Context, f func(ctx context.Context, master *redis.Client) error) error
}

// Scan returns a scan that has not begun. Its pattern may match more than leases.
func (be *Backend) Scan() *Scan {
	return &Scan{be: be, pattern: escapeGlob(be.names.prefix) + ":{??}:l:*", found: make(map[string]struct{})}
}

// Next takes a step. It returns the lock keys that it found, which may be none, and
// whether there may be more. After an error the scan is over.
//
// It returns when ctx ends. The call to Redis then may go on, in a goroutine that
// ends with it: at once if the client heeds contexts, else with its timeouts. The
// backend's end ends it, too.
func (s *Scan) Next(ctx context.Context) (keys []string, more bool, err error) {
	type step struct {
		names []string
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.be.ctx, cancel)()
	if s.be.ctx.Err() != nil {
		return nil, false, ErrClosed
	}
	done := make(chan step, 1)
	servers, cursor := s.servers, s.cursor
	go func() {
		var d step
		defer func() { done <- d }()
		defer s.be.panics.Contain(clientHook, &d.err)
		if servers == nil {
			if servers, d.err = serversOf(ctx, s.be.rdb); d.err != nil || len(servers) == 0 {
				return
			}
		}
		d.names, cursor, d.err = servers[0].ScanType(ctx, cursor, s.pattern, scanCount, "string").Result()
	}()
	select {
	case d := <-done:
		switch {
		case d.err == nil:
		case s.be.ctx.Err() != nil:
			return nil, false, ErrClosed
		default:
			return nil, false, d.err
		}
		if cursor == 0 && len(servers) > 0 {
			servers = servers[1:]
		}
		s.servers, s.cursor = servers, cursor
		return s.keys(d.names), len(servers) > 0, nil
	case <-ctx.Done():
		if s.be.ctx.Err() != nil {
			return nil, false, ErrClosed
		}
		return nil, false, context.Cause(ctx)
	}
}

// keys returns the lock keys of the leases with these names, without those that
// were there before.
func (s *Scan) keys(names []string) []string {
	var keys []string
	for _, name := range names {
		key, ok := s.be.names.key(name)
		if _, twice := s.found[key]; !ok || twice {
			continue
		}
		s.found[key] = struct{}{}
		keys = append(keys, key)
	}
	return keys
}

// serversOf returns the servers that have keys.
func serversOf(ctx context.Context, rdb redis.UniversalClient) ([]scanner, error) {
	m, ok := rdb.(masters)
	if !ok {
		return []scanner{rdb}, nil
	}
	var mu sync.Mutex // it calls from several goroutines
	var found []*redis.Client
	err := m.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		found = append(found, master)
		return nil
	})
	if err == nil && len(found) == 0 {
		err = errors.New("redis: the cluster has no masters")
	}
	slices.SortFunc(found, func(a, b *redis.Client) int { return cmp.Compare(a.Options().Addr, b.Options().Addr) })
	servers := make([]scanner, len(found))
	for i, c := range found {
		servers[i] = c
	}
	return servers, err
}
