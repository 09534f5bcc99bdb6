package backend

import (
	"strings"
	"testing"
)

// heardBy returns what a listener of process p makes of a message.
func heardBy(p Process, payload string) (grants []Grant, notes []Note) {
	l := &Listener{
		be: &Backend{names: newKeyspace("test", false)}, process: p,
		handler: Handler{
			Granted:   func(g Grant) { grants = append(grants, g) },
			Contended: func(n Note) { notes = append(notes, n) },
			Broken:    func(n Note) { notes = append(notes, n) },
		},
	}
	l.dispatch(payload)
	return grants, notes
}

func message(fields ...string) string { return strings.Join(fields, "\n") }

func TestMessagesAreParsed(t *testing.T) {
	p := NewProcess()
	id := MakeID(p, 3)
	for _, key := range []string{"k", "a\nb\n", "\n", "{}"} {
		lease := newKeyspace("test", false).Names(key).lease
		grants, notes := heardBy(p, message("grant", "17", "4", "9", "2", string(id), "host=a", lease))
		want := Grant{ID: id, Key: key, Ticket: 17, Tokens: TokenRange{4, 9}, Queued: 2, From: "host=a"}
		if len(grants) != 1 || grants[0] != want || notes != nil {
			t.Errorf("%+v and %+v, want %+v", grants, notes, want)
		}
		grants, notes = heardBy(p, message("note", string(id), lease))
		if want := (Note{ID: id, Key: key}); len(notes) != 1 || notes[0] != want || grants != nil {
			t.Errorf("%+v and %+v, want %+v", notes, grants, want)
		}
	}
}

func TestMalformedMessageIsDropped(t *testing.T) {
	p := NewProcess()
	id := string(MakeID(p, 3))
	other := string(MakeID(NewProcess(), 3))
	lease := newKeyspace("test", false).Names("k").lease
	for name, payload := range map[string]string{
		"empty":                     "",
		"unknown":                   message("hello", id, lease),
		"kind only":                 "grant",
		"short grant":               message("grant", "17", "4", "9", "2", id, lease),
		"ticket":                    message("grant", "1.7e+15", "4", "9", "2", id, "", lease),
		"first token":               message("grant", "17", "x", "9", "2", id, "", lease),
		"last token":                message("grant", "17", "4", "", "2", id, "", lease),
		"tokens of a float":         message("grant", "17", "1.76e+15", "9", "2", id, "", lease),
		"tokens in the wrong order": message("grant", "17", "9", "4", "2", id, "", lease),
		"queue":                     message("grant", "17", "4", "9", "two", id, "", lease),
		"grant to another process":  message("grant", "17", "4", "9", "2", other, "", lease),
		"grant to no entry":         message("grant", "17", "4", "9", "2", id[1:], "", lease),
		"grant of no lease":         message("grant", "17", "4", "9", "2", id, "", "k"),
		"grant of another prefix":   message("grant", "17", "4", "9", "2", id, "", "x"+lease),
		"short note":                message("note", id),
		"note to another process":   message("note", other, lease),
		"note to no entry":          message("note", "", lease),
		"note about no lease":       message("note", id, "k"),
		"note about another bucket": message("note", id, lease+"2"),
		"short break":               message("broken", id),
		"break of another process":  message("broken", other, lease),
		"break of no lease":         message("broken", id, "k"),
	} {
		if grants, notes := heardBy(p, payload); grants != nil || notes != nil {
			t.Errorf("%s: %+v, %+v", name, grants, notes)
		}
	}
}

func FuzzDispatch(f *testing.F) {
	p := Process("0123456789abcdef0123456789abcdef")
	id := string(MakeID(p, 3))
	lease := newKeyspace("test", false).Names("k").lease
	f.Add(message("grant", "17", "4", "9", "2", id, "host=a", lease))
	f.Add(message("note", id, lease))
	f.Add(message("broken", id, lease))
	f.Add("")
	f.Add("note\n\n\n\n\n\n\n")
	f.Add("grant\n\n\n\n\n\n\n\n")
	f.Fuzz(func(t *testing.T, payload string) {
		grants, notes := heardBy(p, payload)
		if len(grants)+len(notes) > 1 {
			t.Errorf("%d grants and %d notes of one message", len(grants), len(notes))
		}
		for _, g := range grants {
			if _, ok := g.ID.Of(p); !ok || g.Tokens.First > g.Tokens.Last || g.Key == "" {
				t.Errorf("%+v", g)
			}
		}
		for _, n := range notes {
			if _, ok := n.ID.Of(p); !ok || n.Key == "" {
				t.Errorf("%+v", n)
			}
		}
	})
}
