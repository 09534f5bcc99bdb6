package remote

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// server is one that is being checked.
type server struct {
	rdb     redis.UniversalClient
	name    string
	user    string
	prefix  string
	keys    []string // of each kind that operations touch, a name that may be tried
	channel string
	sharded bool

	faults  []Fault
	missing []string // rights
	untried []string // rights that could not be tried without those
}

// check finds the server's faults. A right is never asked for, but used: a user
// who may do little may not ask either (ACL DRYRUN, ACL WHOAMI).
func (s *server) check(ctx context.Context) {
	for _, step := range []func(context.Context) error{s.ping, s.askInfo, s.runScripts, s.subscribe} {
		err := step(ctx)
		if errors.Is(err, errNoConnection) {
			break
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			s.faults = append(s.faults, unreachable(s.name, err))
			break
		}
	}
	s.reportRights()
}

// errNoConnection ends a check whose faults say why.
var errNoConnection = errors.New("redis: the connection could not be begun")

func (s *server) found(f Fault) {
	f.Server = s.name
	s.faults = append(s.faults, f)
}

func (s *server) has(kind FaultKind) bool {
	return slices.ContainsFunc(s.faults, func(f Fault) bool { return f.Kind == kind })
}

// denied tells whether err is an ACL's answer to a command.
func denied(err error) bool {
	// One that is wrapped was the answer to another, by which the client has
	// begun the connection.
	_, own := err.(redis.Error)
	return own && redis.HasErrorPrefix(err, "NOPERM")
}

// outage returns err if it is not the server's last word: one of the network, or
// the answer of a server that cannot serve for now.
func outage(err error) error {
	switch {
	case err == nil, redis.HasErrorPrefix(err, "READONLY"):
		return nil
	case passes(err), redis.HasErrorPrefix(err, "BUSY"):
		return err
	}
	return nil
}

// ping is the first command: if it fails for another reason than the ACL there is
// no connection, or no user of that name and password.
func (s *server) ping(ctx context.Context) error {
	err := s.rdb.Ping(ctx).Err()
	switch {
	case denied(err):
		s.missing = append(s.missing, "+ping")
		return nil
	case redis.HasErrorPrefix(err, "NOPERM"):
		s.missing = initRights(s.rdb)
		if len(s.missing) > 0 {
			s.untried = Rights(s.prefix, s.sharded)
			return errNoConnection
		}
	}
	return err
}

// initRights is what the client needs to begin a connection, over those of the
// locks.
func initRights(rdb redis.UniversalClient) (rights []string) {
	if c, ok := rdb.(interface{ Options() *redis.Options }); ok {
		if c.Options().DB > 0 {
			rights = append(rights, "+select")
		}
		if c.Options().ClientName != "" {
			rights = append(rights, "+client|setname")
		}
	}
	return rights
}

func (s *server) askInfo(ctx context.Context) error {
	text, err := s.rdb.Info(ctx).Result() // without sections: only Redis 7 takes several
	if err != nil {
		if err := outage(err); err != nil {
			return err
		}
		f := Fault{
			Kind:    FaultUnchecked,
			Problem: fmt.Sprintf("INFO is refused, so its version, its role, its maxmemory-policy and cluster mode could not be checked (%v)", err),
			Effect:  "locks do not need it, but an evicting policy would let a second holder in, unnoticed",
			Remedy:  s.aclLine("+info"),
			Err:     err,
		}
		if denied(err) {
			f.Rights = []string{"+info"}
		}
		s.found(f)
		return nil
	}
	info := parseInfo(text)
	if version, old := info.version(); old {
		s.found(Fault{
			Kind:    FaultVersion,
			Problem: fmt.Sprintf("it needs Redis %d.0 or newer, and is %s", minMajor, version),
			Effect:  "every Acquire would fail with ErrBackend: SET does not take NX and GET together",
			Remedy:  "upgrade the server",
		})
	}
	if policy, may := info.evicts(); may {
		s.found(Fault{
			Kind:    FaultEviction,
			Problem: fmt.Sprintf("its maxmemory-policy is %s, with maxmemory %s", policy, info["maxmemory"]),
			Effect:  "when memory is short it may evict a lease (they expire, so volatile policies take them, too), and a second holder is let in",
			Remedy:  "CONFIG SET maxmemory-policy noeviction, and the same in its configuration, or a Redis for the locks alone",
		})
	}
	if master, is := info.replica(); is {
		s.found(Fault{
			Kind:    FaultReplica,
			Problem: "it is a replica of " + master,
			Effect:  "it refuses all writes (READONLY): every Acquire would fail with ErrBackend",
			Remedy:  "give the client the master's address, or use redis.NewFailoverClient, which asks Sentinels for it",
		})
	}
	if info.cluster() && !s.sharded {
		s.foundCluster("it is a server of a cluster (cluster_enabled:1), and the client is not one of a cluster")
	}
	return nil
}

func (s *server) foundCluster(problem string) {
	s.found(Fault{
		Kind:    FaultCluster,
		Problem: problem,
		Effect:  "every lock that is in another server's slots would fail with ErrBackend (MOVED)",
		Remedy:  "use redis.NewClusterClient, or a server that is not in cluster mode",
	})
}

// runScripts tries the script calls, and within them all that the scripts do.
func (s *server) runScripts(ctx context.Context) error {
	sum := sha1.Sum([]byte(checkSource))
	// Whether it is known to the server or not: it must be allowed to ask.
	err := s.rdb.Do(ctx, "evalsha", hex.EncodeToString(sum[:]), 0).Err()
	if denied(err) {
		s.missing = append(s.missing, "+evalsha")
	} else if err := outage(err); err != nil {
		return err
	}
	err = s.rdb.Do(ctx, "eval", checkSource, 0).Err()
	if denied(err) {
		s.missing = append(s.missing, "+eval")
		s.untried = slices.Concat(s.untried, otherRights, keyRights, s.pubSubRights(), []string{keyPattern(s.prefix), channelPattern(s.prefix)})
		return nil
	} else if err != nil {
		return s.refusal([]string{"EVAL"}, err)
	}

	// Redis looks at the keys that a call declares before it runs it.
	usable := ""
	for _, name := range s.keys {
		switch err := s.rdb.Do(ctx, "eval", checkSource, 1, name).Err(); {
		case denied(err):
			if !slices.Contains(s.missing, keyPattern(s.prefix)) {
				s.missing = append(s.missing, keyPattern(s.prefix))
			}
		case err != nil:
			return s.refusal([]string{"EVAL"}, err)
		case usable == "": // the first: the last is not nobody's
			usable = name
		}
	}
	if usable == s.keys[len(s.keys)-1] {
		usable = ""
	}
	if usable == "" {
		s.untried = append(s.untried, keyRights...)
	}
	return s.tryCommands(ctx, usable)
}

// tryCommands has check.lua try what the scripts do, on that name unless it is
// "".
func (s *server) tryCommands(ctx context.Context, name string) error {
	kind := ""
	if s.sharded {
		kind = "sharded"
	}
	args := []any{"eval", checkSource, 0, s.channel, kind}
	if name != "" {
		args = []any{"eval", checkSource, 1, name, s.channel, kind}
	}
	list, err := s.rdb.Do(ctx, args...).Slice()
	if err != nil {
		return s.refusal([]string{"EVAL"}, err)
	}
	var failed []string // commands
	var failure error
	for _, v := range list {
		row, _ := v.([]any)
		p := fields{rest: row}
		command, byACL, text := p.string(), p.int(), p.string()
		err := error(&ScriptError{text})
		if p.bad {
			return s.refusal([]string{"EVAL"}, fmt.Errorf("redis: malformed reply %v", list))
		}
		if byACL == 1 || strings.HasPrefix(text, "NOPERM") {
			s.missing = append(s.missing, "+"+command)
			continue
		}
		failed = append(failed, strings.ToUpper(command))
		failure = err
	}
	if failed == nil || s.has(FaultReplica) || s.has(FaultVersion) {
		return nil // the fault that is known says it better
	}
	return s.refusal(failed, failure)
}

// refusal notes that the server does not do what it is asked to, for another
// reason than its ACL; or returns err if that may pass.
func (s *server) refusal(commands []string, err error) error {
	if redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK") || redis.HasErrorPrefix(err, "CLUSTERDOWN") {
		if s.sharded {
			return err // just now: the client will know better
		}
		if !s.has(FaultCluster) { // INFO could not be asked
			s.foundCluster("it is a server of a cluster, and the client is not one of a cluster")
		}
		return nil
	}
	if _, ran := errors.AsType[*ScriptError](err); !ran && outage(err) != nil {
		return err
	}
	s.found(Fault{
		Kind:    FaultRefused,
		Problem: fmt.Sprintf("it refuses %s: %v", strings.Join(commands, ", "), err),
		Effect:  "the locks' scripts would fail with ErrBackend",
		Remedy:  "what the server's error says; all these commands, under these names, must work in scripts, on Redis 7.0 or newer",
		Err:     err,
	})
	return nil
}

// subscribe hears a channel of a name that nobody has, and goes.
func (s *server) subscribe(ctx context.Context) error {
	ps := s.rdb.Subscribe(ctx)
	defer ps.Close()
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })() // Receive does not heed ctx
	var err error
	if s.sharded {
		err = ps.SSubscribe(ctx, s.channel)
	} else {
		err = ps.Subscribe(ctx, s.channel)
	}
	if err == nil {
		_, err = ps.Receive(ctx)
	}
	publish, subscribe := publishRight(s.sharded), subscribeRight(s.sharded)
	switch {
	case err == nil:
	case denied(err):
		// Either the command or the channel is. Who may use neither command on it
		// lacks the channel, most likely.
		if i := slices.Index(s.missing, publish); i >= 0 {
			s.missing[i] = channelPattern(s.prefix)
			s.untried = append(s.untried, publish, subscribe)
		} else {
			s.missing = append(s.missing, subscribe)
		}
	case outage(err) != nil:
		return err
	default:
		s.found(Fault{
			Kind:    FaultRefused,
			Problem: fmt.Sprintf("it refuses %s: %v", strings.ToUpper(subscribe[1:]), err),
			Effect:  "those who wait would not hear that they were granted the lock",
			Remedy:  "what the server's error says",
			Err:     err,
		})
	}
	return nil
}

func (s *server) pubSubRights() []string {
	if s.sharded {
		return shardedRights
	}
	return pubSubRights
}

// reportRights makes one fault of all rights that are missing.
func (s *server) reportRights() {
	if len(s.missing) == 0 {
		return
	}
	s.found(Fault{
		Kind:    FaultRights,
		Problem: fmt.Sprintf("the user %s lacks the rights %s", s.user, strings.Join(s.missing, " ")),
		Effect:  "locks would fail with ErrBackend, or those who wait would not hear that they were granted one",
		Remedy:  s.aclLine(slices.Concat(s.missing, s.untried)...),
		Rights:  s.missing,
	})
	if len(s.untried) > 0 {
		f := &s.faults[len(s.faults)-1]
		f.Problem += "; what follows in the remedy could not be tried without them"
	}
}

// aclLine gives the user what it lacks. Words that it has do no harm.
func (s *server) aclLine(words ...string) string {
	return "ACL SETUSER " + s.user + " " + strings.Join(compact(words), " ")
}

// compact returns the words without those that occur before.
func compact(words []string) []string {
	var once []string
	for _, w := range words {
		if !slices.Contains(once, w) {
			once = append(once, w)
		}
	}
	return once
}

func unreachable(server string, err error) Fault {
	return Fault{
		Kind:    FaultUnreachable,
		Server:  server,
		Problem: fmt.Sprintf("it could not be asked: %v", err),
		Effect:  "nothing is known of it; until it answers, every Acquire fails with ErrBackend",
		Remedy:  "check that it runs, its address, TLS and credentials, and ask again",
		Err:     err,
	}
}

// noCluster is the fault of a cluster that does not tell where its keys are.
func (r *Room) noCluster(err error) Fault {
	const name = "the cluster"
	switch {
	case denied(err):
		u := "<user>"
		if c, ok := r.rdb.(interface{ Options() *redis.ClusterOptions }); ok && c.Options().Username != "" {
			u = c.Options().Username
		}
		s := &server{name: name, user: u, prefix: r.names.prefix, sharded: true, missing: clusterRights}
		s.untried = Rights(s.prefix, true)
		s.reportRights()
		return s.faults[0]
	case outage(err) == nil:
		return Fault{
			Kind:    FaultCluster,
			Server:  name,
			Problem: fmt.Sprintf("the servers do not say where its keys are: %v", err),
			Effect:  "every Acquire would fail with ErrBackend",
			Remedy:  "use redis.NewClient for a server that is not in cluster mode",
			Err:     err,
		}
	}
	return unreachable(name, err)
}
