package backend

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// FaultKind is what sort of thing is wrong with a server.
type FaultKind string

// The kinds of faults.
const (
	FaultUnreachable FaultKind = "unreachable"
	FaultAddress     FaultKind = "address"
	FaultTLS         FaultKind = "tls"
	FaultCredentials FaultKind = "credentials"
	FaultVersion     FaultKind = "version"
	FaultEviction    FaultKind = "eviction"
	FaultReplica     FaultKind = "replica"
	FaultReplicas    FaultKind = "replicas"
	FaultCluster     FaultKind = "cluster"
	FaultRights      FaultKind = "rights"
	FaultRefused     FaultKind = "refused"
	FaultUnchecked   FaultKind = "unchecked"
)

// Fault is something about a server that locks cannot live with.
type Fault struct {
	Kind                    FaultKind
	Server                  string
	Problem, Effect, Remedy string
	Rights                  []string // those that are missing
	Err                     error    // what the client or the server said
}

// Check asks every server that would hold leases whether they can live there,
// and returns what is wrong. It returns when ctx ends; then, and when the backend
// closes, those that have not answered count as unreachable.
//
// All calls are made by goroutines of its own, which it waits for unless ctx
// ends: those that are stuck in the client then end with the client's own
// timeouts.
func (be *Backend) Check(ctx context.Context) []Fault {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(be.ctx, func() { cancel(ErrClosed) })()

	type census struct {
		servers []*server
		fault   *Fault
	}
	counted := make(chan census, 1)
	go func() {
		servers, fault := be.servers(ctx)
		counted <- census{servers, fault}
	}()
	var all census
	select {
	case all = <-counted:
	case <-ctx.Done():
		return []Fault{unreachable(be.name(be.rdb), context.Cause(ctx))}
	}
	if all.fault != nil {
		return []Fault{*all.fault}
	}

	type report struct {
		of     int
		faults []Fault
	}
	reports := make(chan report, len(all.servers))
	for i, s := range all.servers {
		go func() {
			var err error
			defer func() {
				if err != nil {
					s.faults = append(s.faults, s.fault(err))
				}
				reports <- report{i, s.faults}
			}()
			defer be.panics.Contain(clientHook, &err)
			s.check(ctx)
		}()
	}
	byServer := make([][]Fault, len(all.servers))
	pending := make(map[int]*server, len(all.servers))
	for i, s := range all.servers {
		pending[i] = s
	}
	for len(pending) > 0 && ctx.Err() == nil {
		select {
		case rep := <-reports:
			byServer[rep.of] = rep.faults
			delete(pending, rep.of)
		case <-ctx.Done():
		}
	}
	for i, s := range pending {
		byServer[i] = []Fault{unreachable(s.name, context.Cause(ctx))}
	}
	var faults []Fault
	for _, f := range byServer {
		faults = append(faults, f...)
	}
	return faults
}

// servers returns those that hold leases: each with a bucket that is there.
func (be *Backend) servers(ctx context.Context) ([]*server, *Fault) {
	if be.slotMap == nil {
		return []*server{be.server(be.rdb, 0)}, nil
	}
	var servers []*server
	seen := map[string]bool{}
	for i := range buckets {
		master, f := be.master(ctx, i)
		if f != nil {
			f.Server = be.name(be.rdb)
			return nil, f
		}
		if addr := master.Options().Addr; !seen[addr] {
			seen[addr] = true
			servers = append(servers, be.server(master, i))
		}
	}
	return servers, nil
}

// master returns the one that has a bucket. For the first, the client asks the
// servers where the slots are.
func (be *Backend) master(ctx context.Context, bucket int) (*redis.Client, *Fault) {
	var master *redis.Client
	find := func() (err error) {
		master, err = be.masterOf(ctx, byte(bucket))
		return err
	}
	var f *Fault
	var err error
	if bucket == 0 {
		f, err = be.approachOf(be.rdb).first(ctx, find)
	} else {
		err = find()
	}
	switch {
	case f != nil:
		return nil, f
	case err != nil:
		noCluster := be.noCluster(err)
		return nil, &noCluster
	}
	return master, nil
}

func (be *Backend) server(rdb redis.UniversalClient, bucket int) *server {
	b := be.names.bases[bucket]
	nobody := "check-" + rand.Text() // never a user's, whatever the keys are
	words := singleWords
	if be.slotMap != nil {
		words = clusterWords
	}
	return &server{
		rdb: rdb, approach: be.approachOf(rdb), name: be.name(rdb), prefix: be.names.prefix, cluster: be.slotMap != nil, ack: be.ack,
		script: scriptOf(words + checkSource), channel: b.channels + nobody,
		keys: []string{b.lease + nobody, b.queue + nobody, b.fence},
	}
}

// sentinelsMaster is what go-redis has in the place of the address that it asks
// Sentinels for.
const sentinelsMaster = "FailoverClient"

// name is what people call a server.
func (be *Backend) name(rdb redis.UniversalClient) string {
	if _, ok := rdb.(clusterClient); ok {
		return "the cluster"
	}
	c, ok := rdb.(interface{ Options() *redis.Options })
	switch {
	case !ok:
		return "redis"
	case c.Options().Addr == sentinelsMaster:
		return "the Sentinels' master"
	}
	return c.Options().Addr
}

// user is who the client logs in as; a placeholder if it only finds out then.
func user(rdb redis.UniversalClient) string {
	name, later := "", true
	switch c := rdb.(type) {
	case interface{ Options() *redis.Options }:
		o := c.Options()
		name = o.Username
		later = o.CredentialsProvider != nil || o.CredentialsProviderContext != nil || o.StreamingCredentialsProvider != nil
	case clusterClient:
		o := c.Options()
		name = o.Username
		later = o.CredentialsProvider != nil || o.CredentialsProviderContext != nil || o.StreamingCredentialsProvider != nil
	}
	switch {
	case later:
		return "<user>"
	case name == "":
		return "default"
	}
	return name
}

// unreachable is the fault of a server that was not heard.
func unreachable(server string, err error) Fault {
	f := away(err)
	f.Server = server
	return f
}

// noCluster is the fault of a cluster that does not tell where its keys are.
func (be *Backend) noCluster(err error) Fault {
	a := be.approachOf(be.rdb)
	if denied(err) {
		s := &server{name: be.name(be.rdb), approach: a, prefix: be.names.prefix, cluster: true, missing: clusterRights}
		s.untried = Rights(s.prefix, true)
		s.reportRights()
		return s.faults[0]
	}
	f := a.fault(err)
	if f.Kind == FaultRefused && code(err) == "" {
		f = Fault{
			Kind:    FaultCluster,
			Problem: fmt.Sprintf("the servers do not say where its keys are: %v", err),
			Effect:  noLock,
			Remedy:  "use redis.NewClient for a server that is not in cluster mode",
			Err:     err,
		}
	}
	return f
}
