package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// server is one that is being checked.
type server struct {
	rdb redis.UniversalClient
	approach
	name    string
	prefix  string
	keys    []string // of each kind that operations touch, a name that may be tried
	channel string
	script  script // check.lua
	cluster bool
	ack     Ack

	faults  []Fault
	missing []string // rights
	untried []string // rights that could not be tried without those
}

// check finds the server's faults. A right is never asked for, but used: a user
// who may do little may not ask either (ACL DRYRUN, ACL WHOAMI).
func (s *server) check(ctx context.Context) {
	for _, step := range []func(context.Context) error{s.ping, s.askInfo, s.runScripts, s.subscribe, s.redirect, s.await} {
		err := step(ctx)
		if errors.Is(err, errNoConnection) {
			break
		}
		if err != nil {
			if cause := context.Cause(ctx); cause != nil {
				s.found(away(cause))
			} else {
				s.found(s.fault(err))
			}
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

// denied tells whether err is an ACL's.
func denied(err error) bool { return redis.HasErrorPrefix(err, "NOPERM") }

// outage returns err if it is not the server's last word: one of the network, or
// the answer of a server that cannot serve for now.
func outage(err error) error {
	switch {
	case err == nil, redis.HasErrorPrefix(err, "READONLY"):
		return nil
	case isTransient(err), redis.HasErrorPrefix(err, "BUSY"):
		return err
	}
	return nil
}

// ping is the first command: if it fails for another reason than the ACL, there is
// mostly no connection.
func (s *server) ping(ctx context.Context) error {
	f, err := s.first(ctx, func() error { return s.rdb.Ping(ctx).Err() })
	switch {
	case f != nil:
		if f.Err == nil {
			f.Err = err
		}
		s.found(*f)
		return errNoConnection
	case deniedDatabase(err): // by the SELECT that begins a connection
		s.lacksDatabase()
		return errNoConnection
	case denied(err) && !(s.sentinels && !isReply(err)):
		if s.missing = initRights(s.rdb); len(s.missing) > 0 && s.cannotBegin(ctx) {
			s.untried = Rights(s.prefix, s.cluster)
			return errNoConnection
		}
		s.missing = []string{"+ping"}
		return nil
	case redis.IsMasterDownError(err):
		// That it is a replica is for somebody to mend. INFO is answered even then.
		if s.askInfo(ctx) == nil && s.has(FaultReplica) {
			return errNoConnection
		}
		return err
	case err == nil, !isServerReply(err), outage(err) != nil:
		return err
	}
	// An answer that does not pass: to PING, or to what begins a connection.
	s.found(s.fault(err))
	if unknownCredentials(err) || !isReply(err) || s.cannotBegin(ctx) {
		return errNoConnection
	}
	return nil
}

// isReply reports whether err is the answer to a command, and not wrapped in what
// else has failed for it.
func isReply(err error) bool {
	_, reply := err.(redis.Error)
	return reply
}

// deniedDatabase reports whether an ACL has no right to the database (Valkey 9.1).
// Which command was refused says nothing then: they all are that have to do with
// keys.
func deniedDatabase(err error) bool {
	return denied(err) && aboutDatabase(err.Error())
}

func aboutDatabase(text string) bool { return strings.Contains(text, "access database") }

// lacksDatabase notes that the user has no right to the client's database.
func (s *server) lacksDatabase() {
	if right := s.databaseRight(); !slices.Contains(s.missing, right) {
		s.missing = append(s.missing, right)
	}
}

func (s *server) databaseRight() string { return fmt.Sprintf("db=%d", s.db) }

// cannotBegin reports whether the server refuses what the client sends first on
// every connection. The error of a command does not tell; that of a subscription is
// a reply if it is about the subscription, and wraps one if it is about that.
func (s *server) cannotBegin(ctx context.Context) bool {
	err := s.hear(ctx, (*redis.PubSub).Subscribe)
	return isServerReply(err) && !isReply(err)
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

// hear subscribes to the channel, or ends that, on a connection of its own.
func (s *server) hear(ctx context.Context, subscribe func(*redis.PubSub, context.Context, ...string) error) error {
	ps := s.rdb.Subscribe(ctx)
	defer ps.Close()
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })() // Receive does not heed ctx
	err := subscribe(ps, ctx, s.channel)
	if err == nil {
		_, err = ps.Receive(ctx)
	}
	return err
}

// subscribe tries what no script can do.
func (s *server) subscribe(ctx context.Context) error {
	if !s.cluster {
		return s.tryToHear(ctx, "+subscribe", "+publish", (*redis.PubSub).Subscribe)
	}
	if err := s.tryToHear(ctx, "+ssubscribe", "+spublish", (*redis.PubSub).SSubscribe); err != nil {
		return err
	}
	// A subscription that is not needed any more; the ACL does not look at the
	// channel.
	return s.tryToHear(ctx, "+sunsubscribe", "", (*redis.PubSub).SUnsubscribe)
}

// tryToHear tries a command on the channel. publish is the right to the other
// that needs the channel, "" if this one needs it not.
func (s *server) tryToHear(ctx context.Context, right, publish string, subscribe func(*redis.PubSub, context.Context, ...string) error) error {
	err := s.hear(ctx, subscribe)
	switch {
	case err == nil:
	case denied(err):
		// Either the command or the channel is refused. Who may use neither command
		// on it lacks the channel, most likely.
		if i := slices.Index(s.missing, publish); i >= 0 {
			s.missing[i] = channelPattern(s.prefix)
			s.untried = append(s.untried, publish, right)
		} else {
			s.missing = append(s.missing, right)
		}
	case outage(err) != nil:
		return err
	default:
		s.found(Fault{
			Kind:    FaultRefused,
			Problem: fmt.Sprintf("it refuses %s: %v", strings.ToUpper(right[1:]), err),
			Effect:  "those who wait would not hear that they were granted the lock",
			Remedy:  remedyFor(err),
			Err:     err,
		})
	}
	return nil
}

// redirect tries what the client does where slots move. ASKING is about the next
// command on the connection, which is to be no other's.
func (s *server) redirect(ctx context.Context) error {
	if !s.cluster {
		return nil
	}
	pipe := s.rdb.Pipeline()
	asking := pipe.Do(ctx, "asking")
	pipe.Ping(ctx)
	count := pipe.Do(ctx, "command", "count") // the right is to all of COMMAND, whose answer is long
	_, _ = pipe.Exec(ctx)
	for i, err := range []error{asking.Err(), count.Err()} {
		switch {
		case denied(err):
			s.missing = append(s.missing, redirectRights[i])
		case outage(err) != nil:
			return err
		}
	}
	return nil // any other refusal says that it is no cluster, as others have
}

// await tries to wait for replicas, for no longer than it takes to ask.
func (s *server) await(ctx context.Context) error {
	if s.ack.Replicas == 0 || s.has(FaultReplica) {
		return nil
	}
	err := s.rdb.Do(ctx, "wait", 0, 1).Err()
	if denied(err) {
		s.missing = append(s.missing, ackRight)
		return nil
	}
	if err != nil {
		return s.refusal([]string{"WAIT"}, err)
	}
	return nil
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
		Rights:  slices.Clone(s.missing),
	})
	f := &s.faults[len(s.faults)-1]
	if slices.Contains(s.missing, s.databaseRight()) {
		f.Problem += "; what it may do with commands and keys could not be tried without that: check again"
		f.Effect += fmt.Sprintf(". The remedy takes the place of the databases that the user has by now: if it uses others, name them, too, as in %s,%d", s.databaseRight(), s.db+1)
	}
	if len(s.untried) > 0 {
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
