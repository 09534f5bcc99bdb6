package backend

import (
	"errors"
	"strconv"
	"strings"
)

// Grant says that an entry was made the owner by a release.
type Grant struct {
	ID     ID
	Key    string
	Ticket uint64
	Tokens TokenRange
	Queued int
	// From is the last owner's metadata.
	From string
}

// Note says that another process has begun to wait for the lease of ID, or that
// an operator has broken it.
type Note struct {
	ID  ID
	Key string
}

// dispatch hands on a message. A malformed one is dropped: like a lost one, it
// costs a poll. So is one about another process's entry: whoever is told of an
// entry that he does not know gives its lease back.
func (l *Listener) dispatch(payload string) {
	kind, rest, _ := strings.Cut(payload, "\n")
	switch kind {
	case "grant":
		// The key is last: it may contain anything.
		f := strings.SplitN(rest, "\n", 7)
		if len(f) != 7 {
			return
		}
		ticket, err0 := strconv.ParseUint(f[0], 10, 64)
		first, err1 := strconv.ParseUint(f[1], 10, 64)
		last, err2 := strconv.ParseUint(f[2], 10, 64)
		queued, err3 := strconv.Atoi(f[3])
		id := ID(f[4])
		key, ok := l.subject(id, f[6])
		if !ok || first > last || errors.Join(err0, err1, err2, err3) != nil {
			return
		}
		l.handler.Granted(Grant{
			ID: id, Key: key, Ticket: ticket, Tokens: TokenRange{first, last}, Queued: queued, From: f[5],
		})
	case "note", "broken":
		f := strings.SplitN(rest, "\n", 2)
		if len(f) != 2 {
			return
		}
		id := ID(f[0])
		key, ok := l.subject(id, f[1])
		switch {
		case !ok:
		case kind == "note":
			l.handler.Contended(Note{ID: id, Key: key})
		default:
			l.handler.Broken(Note{ID: id, Key: key})
		}
	}
}

// subject returns the key that a message about an entry and a lease is about,
// and false if that is none of this process's business.
func (l *Listener) subject(id ID, lease string) (key string, ok bool) {
	if _, ok := id.Of(l.process); !ok {
		return "", false
	}
	return l.be.names.key(lease)
}
