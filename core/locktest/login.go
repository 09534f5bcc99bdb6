package locktest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// login is who a client says that it is: nobody, or a user with a password, of which
// no name is the default one.
type login struct{ user, password string }

// logins returns those that settings have in clear, nobody first. Which of them the
// server lets in, and to do what, only it can tell.
func logins(settings []setting) []login {
	found := []login{{}}
	add := func(l login) {
		if l.password != "" && !slices.Contains(found, l) {
			found = append(found, l)
		}
	}
	for _, s := range slices.Backward(settings) { // the last one wins
		if s.name == "requirepass" && len(s.args) == 1 {
			add(login{"", s.args[0]})
		}
	}
	for _, s := range settings {
		switch {
		case s.name == "user":
			for _, l := range usersLogins(s.args) {
				add(l)
			}
		case s.name == "aclfile" && len(s.args) == 1:
			for _, line := range settingsOf(s.args[0]) {
				for _, l := range usersLogins(line.args) {
					add(l)
				}
			}
		}
	}
	return found
}

// usersLogins reads a user's name and rules, in one text or in many.
func usersLogins(args []string) []login {
	rules := strings.Fields(strings.Join(args, " "))
	if len(rules) == 0 {
		return nil
	}
	var found []login
	for _, rule := range rules[1:] {
		if password, clear := strings.CutPrefix(rule, ">"); clear {
			found = append(found, login{rules[0], password})
		} else if strings.EqualFold(rule, "nopass") {
			found = append(found, login{rules[0], "any"})
		}
	}
	return found
}

// asker is a client of the starter's own.
type asker struct {
	login login
	rdb   *redis.Client
}

// askers returns one for each login that the arguments have. They are to be closed.
func (r *Redis) askers() []asker {
	var all []asker
	for _, l := range logins(settingsIn(r.args)) {
		all = append(all, asker{l, redis.NewClient(&redis.Options{
			Addr: r.Addr(), Username: l.user, Password: l.password,
			MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second, ReadTimeout: time.Second,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})})
	}
	return all
}

// refused reports whether err says that the server does not let this client in, or
// not do that.
func refused(err error) bool {
	return redis.HasErrorPrefix(err, "NOAUTH") || redis.HasErrorPrefix(err, "WRONGPASS") || redis.HasErrorPrefix(err, "NOPERM")
}

// errRefused tells what the starters can log in with.
var errRefused = errors.New("lets none of the logins in that its arguments have in clear " +
	"(--requirepass PASSWORD, --user NAME on >PASSWORD ~* &* +@all, or the same in an --aclfile or --include), " +
	"or not to use PING and INFO; give it one for the test's own use")

// into has a client with these options log in, unless they have a login or something
// else that provides one.
func (l login) into(user, password *string, provided bool) {
	if !provided && *user == "" && *password == "" {
		*user, *password = l.user, l.password
	}
}

// login returns the one that the server has let in.
func (r *Redis) login() login {
	if l := r.known.Load(); l != nil {
		return *l
	}
	return login{}
}

// asReplica returns the settings with which a server logs in to its master, none
// if args have some.
func (l login) asReplica(args []string) []string {
	if l.password == "" || slices.ContainsFunc(settingsIn(args), func(s setting) bool { return s.name == "masterauth" }) {
		return nil
	}
	settings := []string{"--masterauth", l.password}
	if l.user != "" {
		settings = append(settings, "--masteruser", l.user)
	}
	return settings
}

// replicateAs has the server log in to its masters as l, now and after a Restart.
func (r *Redis) replicateAs(ctx context.Context, rdb *redis.Client, l login) error {
	settings := l.asReplica(r.args)
	r.args = slices.Concat(settings, r.args)
	for pair := range slices.Chunk(settings, 2) {
		if err := rdb.ConfigSet(ctx, strings.TrimPrefix(pair[0], "--"), pair[1]).Err(); err != nil {
			return err
		}
	}
	return nil
}

// ofSentinel returns the settings with which a sentinel logs in to its servers.
func (l login) ofSentinel() string {
	if l.password == "" {
		return ""
	}
	text := fmt.Sprintf("sentinel auth-pass %s %q\n", sentinelMaster, l.password)
	if l.user != "" {
		text += fmt.Sprintf("sentinel auth-user %s %q\n", sentinelMaster, l.user)
	}
	return text
}
