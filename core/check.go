package core

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// checkTimeout bounds a Check whose context does not.
const checkTimeout = 10 * time.Second

// FaultKind is what sort of thing is wrong with a server.
type FaultKind string

// The kinds of faults. All but the first are for people to mend: asking again
// does not help.
const (
	// FaultUnreachable: the server did not answer, or not in time, or it says that
	// it cannot serve just now, such as LOADING, BUSY, CLUSTERDOWN or that it has as
	// many clients as it takes. Nothing is known of it.
	FaultUnreachable = FaultKind(backend.FaultUnreachable)
	// FaultAddress: the client's address cannot be one, what answers there is no
	// Redis, or the Sentinels watch no master of the client's MasterName.
	FaultAddress = FaultKind(backend.FaultAddress)
	// FaultTLS: one side talks TLS and the other does not, or they do not agree on
	// it: a certificate is not known, is for another name, has expired or is missing.
	FaultTLS = FaultKind(backend.FaultTLS)
	// FaultCredentials: the server, or a Sentinel, does not know the user or the
	// password (WRONGPASS), or wants one (NOAUTH).
	FaultCredentials = FaultKind(backend.FaultCredentials)
	// FaultVersion: it is older than Redis 7.0. Valkey, KeyDB and others are
	// what they report as redis_version.
	FaultVersion = FaultKind(backend.FaultVersion)
	// FaultEviction: its maxmemory is set, and its maxmemory-policy is not
	// noeviction: it may forget a lease that is held. (As long as maxmemory is
	// 0, no policy evicts anything, and none is a fault.)
	FaultEviction = FaultKind(backend.FaultEviction)
	// FaultReplica: it is a replica, and takes no writes.
	FaultReplica = FaultKind(backend.FaultReplica)
	// FaultReplicas: it has fewer replicas than [ReplicaAck] wants.
	FaultReplicas = FaultKind(backend.FaultReplicas)
	// FaultCluster: it is a server of a cluster and the client is not made for
	// one, or the other way round.
	FaultCluster = FaultKind(backend.FaultCluster)
	// FaultRights: its ACL does not let the user do what locks need.
	FaultRights = FaultKind(backend.FaultRights)
	// FaultRefused: it refuses what locks need for another reason, such as OOM,
	// MISCONF, protected mode (DENIED), a database that it does not have, or a
	// command that was renamed.
	FaultRefused = FaultKind(backend.FaultRefused)
	// FaultUnchecked: INFO is refused, so that eviction, role and cluster mode
	// are not known. Locks do not need it.
	FaultUnchecked = FaultKind(backend.FaultUnchecked)
)

// Fault is one thing about one server that locks cannot live with. Its texts
// are for people, and may change; they name no lock's key.
type Fault struct {
	Kind FaultKind
	// Server is its address, as the client has it.
	Server string
	// Problem is what is wrong, Effect what it leads to, and Remedy what to
	// change: where that is one, the command.
	Problem, Effect, Remedy string
	// Rights are the words that the user's ACL lacks, such as "+zrank",
	// "~latchkey:*" or, on Valkey, "db=0". When one of them is missing others may not be possible to
	// try: Remedy has those, too.
	Rights []string
	// Err is what the server or the client said, if that is the reason.
	Err error
}

func (f Fault) String() string {
	return fmt.Sprintf("%s: %s. %s. Remedy: %s", f.Server, strings.TrimSuffix(f.Problem, "."), upperFirst(f.Effect), f.Remedy)
}

func upperFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// CheckError is everything that [RedisLocker.Check] has found wrong. It matches
// [ErrUnfit] if there is something to mend, [ErrBackend] if a server could not
// be asked, and the errors of the faults.
type CheckError struct {
	// Faults is never empty. They are in the order of the servers.
	Faults []Fault
}

func (e *CheckError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v (faults: %d)", e.sentinels()[0], len(e.Faults))
	for _, f := range e.Faults {
		b.WriteString("\n\t")
		b.WriteString(f.String())
	}
	return b.String()
}

// sentinels is what e matches beside its faults' own errors.
func (e *CheckError) sentinels() []error {
	unfit, away := false, false
	for _, f := range e.Faults {
		unfit = unfit || f.Kind != FaultUnreachable
		away = away || f.Kind == FaultUnreachable
	}
	var all []error
	if unfit {
		all = append(all, ErrUnfit)
	}
	if away {
		all = append(all, ErrBackend)
	}
	return all
}

// Unwrap makes the sentinels match, and what the servers and the client said.
func (e *CheckError) Unwrap() []error {
	all := e.sentinels()
	for _, f := range e.Faults {
		if f.Err != nil {
			all = append(all, f.Err)
		}
	}
	return all
}

// Check asks Redis whether it is fit for locks: every server that would hold
// leases, which is the one that the client is connected to, or each master of a
// cluster. Call it once, when the process starts and before it reports that it is
// ready: New itself does not talk to Redis, and what Check finds would else be
// found by requests, or by two holders at once.
//
// It returns nil, [ErrClosed], or a [*CheckError] with all that is wrong and what
// to change. That matches [ErrUnfit] if somebody has to change something, and
// [ErrBackend] if a server could not be asked: try that again. It returns when
// ctx ends, also while Redis hangs, and after 10 s in any case; who has not
// answered by then could not be asked.
//
// What the ACL allows is found out by doing: all commands that locks need are
// tried, on names under the prefix that nobody has. They change nothing and
// leave nothing behind. Refused ones are in the server's ACL LOG. It costs each
// server a few dozen small commands, and a connection for a subscription of one
// message; and if there is no first answer, or none within a second, one or two more
// connections by which it looks who is there. Persistence is not looked at, nor are replicas
// without [ReplicaAck]: they are a choice.
func (l *RedisLocker) Check(ctx context.Context) error {
	l.mu.Lock()
	closed := l.machine.Closed()
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	found := l.backend.Check(ctx)
	if len(found) == 0 {
		return nil
	}
	e := &CheckError{Faults: make([]Fault, len(found))}
	for i, f := range found {
		if errors.Is(f.Err, backend.ErrClosed) {
			return ErrClosed
		}
		e.Faults[i] = Fault{FaultKind(f.Kind), f.Server, f.Problem, f.Effect, f.Remedy, f.Rights, f.Err}
	}
	return e
}
