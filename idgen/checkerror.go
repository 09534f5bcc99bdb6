package idgen

import (
	"fmt"
	"strings"
)

// FaultKind is what sort of thing is wrong with a server.
type FaultKind string

// The kinds of faults. All are for people to mend: asking again does not help.
const (
	// FaultEviction: its maxmemory is set, and its maxmemory-policy lets it
	// forget the keys that IDs are made of. (As long as maxmemory is 0, no policy
	// evicts anything, and none is a fault.)
	FaultEviction FaultKind = "eviction"
	// FaultReplica: it is a replica, and takes no writes.
	FaultReplica FaultKind = "replica"
	// FaultUnchecked: INFO is refused, so that eviction and role are not known.
	// Making IDs does not need it.
	FaultUnchecked FaultKind = "unchecked"
)

// Fault is one thing about a server that IDs cannot live with. Its texts are for
// people, and may change.
type Fault struct {
	Kind FaultKind
	// Server is its address, as the client has it.
	Server string
	// Problem is what is wrong, Effect what it leads to, and Remedy what to
	// change: where that is one, the command.
	Problem, Effect, Remedy string
	// Err is what the server said, if that is the reason.
	Err error
}

func (f Fault) String() string {
	return fmt.Sprintf("%s: %s: %s. Remedy: %s", f.Server, f.Problem, f.Effect, f.Remedy)
}

// CheckError is everything that a generator's Check has found wrong with a
// server. It matches [ErrUnfit] and the errors of the faults.
type CheckError struct {
	// Faults is never empty.
	Faults []Fault
}

func (e *CheckError) Error() string {
	texts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		texts[i] = f.String()
	}
	return ErrUnfit.Error() + ": " + strings.Join(texts, "; ")
}

// Unwrap makes [ErrUnfit] match, and what the server said.
func (e *CheckError) Unwrap() []error {
	all := []error{ErrUnfit}
	for _, f := range e.Faults {
		if f.Err != nil {
			all = append(all, f.Err)
		}
	}
	return all
}

func eviction(server, key, policy string, limit uint64) Fault {
	which := "any key"
	if strings.HasPrefix(policy, "volatile-") {
		which = "keys with an expiry, which these are"
	}
	return Fault{
		Kind:    FaultEviction,
		Server:  server,
		Problem: fmt.Sprintf("its maxmemory-policy is %s, with maxmemory %d", policy, limit),
		Effect:  fmt.Sprintf("when memory is short it may evict %s: %s would begin anew, and IDs that have been given out would come again", which, key),
		Remedy:  "CONFIG SET maxmemory-policy noeviction, and the same in its configuration, or a Redis for the IDs alone",
	}
}

func unchecked(server, problem, remedy string, err error) Fault {
	return Fault{
		Kind:    FaultUnchecked,
		Server:  server,
		Problem: problem + ", so its maxmemory-policy and its role could not be checked",
		Effect:  "IDs do not need it, but an evicting policy would let them come twice, unnoticed",
		Remedy:  remedy,
		Err:     err,
	}
}
