package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"
)

// runScripts tries the script calls, and within them all that the scripts do.
func (s *server) runScripts(ctx context.Context) error {
	// The server need not know it: it must be allowed to ask.
	switch err := s.rdb.Do(ctx, "evalsha", s.script.sha, 0).Err(); {
	case deniedDatabase(err):
		s.lacksDatabase()
		return nil
	case denied(err):
		s.missing = append(s.missing, "+evalsha")
	case err != nil && !unknownScript(err):
		if err := s.refusal([]string{"EVALSHA"}, err); err != nil {
			return err
		}
	}
	switch err := s.rdb.Do(ctx, "eval", s.script.source, 0).Err(); {
	case deniedDatabase(err):
		s.lacksDatabase()
		return nil
	case denied(err):
		s.missing = append(s.missing, "+eval")
		s.untried = slices.Concat(s.untried, otherRights, keyRights, s.pubSubRights(), []string{keyPattern(s.prefix), channelPattern(s.prefix)})
		return nil
	case err != nil:
		return s.refusal([]string{"EVAL"}, err)
	}

	// Redis looks at the keys that a call declares before it runs it.
	usable := ""
	for _, name := range s.keys {
		switch err := s.rdb.Do(ctx, "eval", s.script.source, 1, name).Err(); {
		case deniedDatabase(err):
			s.lacksDatabase()
			return nil
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
	args := []any{"eval", s.script.source, 0, s.channel}
	if name != "" {
		args = []any{"eval", s.script.source, 1, name, s.channel}
	}
	list, err := s.rdb.Do(ctx, args...).Slice()
	if err != nil {
		return s.refusal([]string{"EVAL"}, err)
	}
	var errs []*ScriptError // those that are not the ACL's, each once
	commands := map[string][]string{}
	for _, v := range list {
		row, _ := v.([]any)
		p := fields{rest: row}
		command, byACL, text := p.string(), p.int(), p.string()
		if p.bad {
			return s.refusal([]string{"EVAL"}, fmt.Errorf("redis: malformed reply %v", list))
		}
		if aboutDatabase(text) {
			s.lacksDatabase()
			continue
		}
		if byACL == 1 || strings.HasPrefix(text, "NOPERM") {
			s.missing = append(s.missing, "+"+command)
			continue
		}
		if commands[text] == nil {
			errs = append(errs, &ScriptError{text})
		}
		commands[text] = append(commands[text], strings.ToUpper(command))
	}
	if s.has(FaultReplica) || s.has(FaultVersion) {
		return nil // these say it better
	}
	for _, err := range errs {
		if err := s.refusal(commands[err.Text], err); err != nil {
			return err
		}
	}
	return nil
}

// refusal notes that the server does not do what it is asked to, for another
// reason than its ACL; or returns err if that may pass.
func (s *server) refusal(commands []string, err error) error {
	if redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK") || redis.HasErrorPrefix(err, "CLUSTERDOWN") {
		if s.cluster {
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
	if redis.HasErrorPrefix(err, "READONLY") && s.has(FaultReplica) || s.said(err) {
		return nil
	}
	f := refusedReply(err)
	if f.Kind == FaultRefused {
		f.Problem = fmt.Sprintf("it refuses %s: %v", strings.Join(commands, ", "), err)
		f.Effect = "the locks' scripts would fail with ErrBackend"
	}
	s.found(f)
	return nil
}

// said reports whether a fault has told already why: its error has the same code,
// such as MISCONF.
func (s *server) said(err error) bool {
	text, known := err, false
	if e, ok := err.(*ScriptError); ok {
		text = replyError(e.Text)
	}
	for _, f := range s.faults {
		known = known || f.Kind == FaultRefused && f.Err != nil && code(text) != "" && redis.HasErrorPrefix(f.Err, code(text))
	}
	return known
}
