package engine

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the scenarios print into their files")

// Each file of testdata is one behaviour: commands, and after each, indented, the
// effects that the machine answers with. `go test -update` writes the effects anew, to
// be read as a difference. (A library for this, cockroachdb/datadriven, would be the
// only one that the library's go.mod has for tests alone.)
//
// The commands, with their options in any order:
//
//	machine tenure=10ms acks             begins anew; "#" begins a comment
//	join r1 ttl=3s wait=10s waiters=10 max-hold=1s meta=a observed
//	leave r1
//	release e1                           by its holder
//	reply acquire e1 granted tokens=1..2 queued=1 ticket=7 position=1 ttl=2s owner=x heard sent=-5ms repeated unacked
//	reply release e1 released requeued=waiting ...   options are of the requeued entry
//	fail acquire e1 ambiguous            or unsent, ended
//	message granted e1 ticket=7 tokens=3..3 queued=1 from=x
//	pass 1s                              time
//	due next e1                          or another alarm, of e1, r1, or the subscription
//	up, down, close, cut-off             the subscription; the end
//	redis down, redis up, in-process on, in-process off     what the machine's world says
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("it went otherwise:\n%s", differ(string(text), got))
			}
		})
	}
}

// differ shows the first lines in which two texts differ.
func differ(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\n\twant %s\n\tgot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, not %d", len(g), len(w))
}

// play runs a scenario, and returns it with the effects that it has now.
func play(t *testing.T, text string) string {
	s := newStage(t)
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "\t") {
			continue // an effect, of before
		}
		b.WriteString(line + "\n")
		command, _, _ := strings.Cut(line, "#")
		if words := strings.Fields(command); len(words) > 0 {
			for _, f := range s.do(words) {
				b.WriteString("\t" + f + "\n")
			}
		}
	}
	return b.String()
}

// stage is where a scenario is played.
type stage struct {
	t         *testing.T
	machine   *Machine
	now       time.Time
	sub       *Subscription
	requests  map[string]*Request
	entries   map[string]*Entry
	pending   []Op
	cleanups  map[string]*Cleanup
	down      error
	inProcess bool // what is asked has not left the process
}

func newStage(t *testing.T) *stage {
	s := &stage{
		t: t, now: simEpoch, sub: &Subscription{}, requests: map[string]*Request{}, entries: map[string]*Entry{}, cleanups: map[string]*Cleanup{},
	}
	s.begin(options{})
	return s
}

func (s *stage) begin(o options) {
	s.machine = New(Config{
		Tenure: o.duration("tenure", 10*time.Millisecond), Acks: o.has("acks"),
		Silence: 2 * time.Second, SlowAnswer: 500 * time.Millisecond, MaxRequests: 100,
	}, s)
}

func (s *stage) NewLine(key string) *Line             { return &Line{Key: key, Subscription: s.sub} }
func (s *stage) NewEntry() *Entry                     { return &Entry{} }
func (s *stage) Down(*Line) error                     { return s.down }
func (s *stage) Jitter(d time.Duration) time.Duration { return d }
func (s *stage) Sent(*Entry) (time.Time, bool)        { return time.Time{}, s.inProcess }

func (s *stage) Withdraw(e *Entry) bool {
	if s.inProcess {
		s.take("acquire", e.String())
	}
	return s.inProcess
}

// do does one command.
func (s *stage) do(words []string) []string {
	o := optionsOf(s.t, words)
	arg := func(i int) string {
		if len(words) <= i {
			s.t.Fatalf("%q lacks a word", words)
		}
		return words[i]
	}
	var v Event
	switch words[0] {
	case "machine":
		*s = *newStage(s.t)
		s.begin(o)
		return nil
	case "pass":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			s.t.Fatal(err)
		}
		s.now = s.now.Add(d)
		return nil
	case "redis":
		s.down = nil
		if arg(1) == "down" {
			s.down = errors.New("redis is down")
		}
		return nil
	case "in-process":
		s.inProcess = arg(1) == "on"
		return nil
	case "join":
		r := &Request{
			Key: "k", Start: s.now, TTL: o.duration("ttl", 3*time.Second), Wait: o.duration("wait", 10*time.Second),
			MaxWaiters: o.int("waiters", 10), MaxHold: o.duration("max-hold", 0), Meta: o.text("meta"), Observed: o.has("observed"), Data: arg(1),
		}
		s.requests[arg(1)] = r
		v = Event{Kind: Join, Request: r}
	case "leave":
		v = Event{Kind: Leave, Request: s.request(arg(1))}
	case "release":
		v = Event{Kind: Unlock, Entry: s.entry(arg(1))}
	case "reply":
		a := Answer{Reply: o.reply(arg(3)), Sent: s.now.Add(o.duration("sent", 0)), Repeated: o.has("repeated")}
		if o.has("unacked") {
			a.Unacked = errors.New("no replica has it")
		}
		if q := o.text("requeued"); q != nil {
			r := o.reply(q.(string))
			a.Reply = Reply{Status: status(s.t, arg(3)), Requeued: &r}
		}
		v = Event{Kind: Replied, Op: s.take(arg(1), arg(2)), Answer: a}
	case "fail":
		fault := slices.Index(faultNames[:], arg(3))
		if fault < 0 {
			s.t.Fatalf("%q is no fault", arg(3))
		}
		v = Event{Kind: Replied, Op: s.take(arg(1), arg(2)), Answer: Answer{Err: errSim, Fault: Fault(fault), Sent: s.now.Add(o.duration("sent", 0))}}
		if v.Answer.Fault == Unacked {
			s.t.Fatal("an answer that is not acknowledged is a reply with unacked")
		}
	case "message":
		kind := slices.Index(messageNames[:], arg(1))
		number, err := strconv.ParseUint(strings.TrimPrefix(arg(2), "e"), 10, 64)
		if kind < 0 || err != nil {
			s.t.Fatalf("%q is no message", words)
		}
		r := o.reply("granted")
		v = Event{Kind: Told, Message: &Message{Kind: MessageKind(kind), Key: "k", Number: number, Ticket: r.Ticket, Tokens: r.Tokens, Queued: r.Queued, From: o.text("from")}}
	case "due":
		v = Event{Kind: Due, Alarm: Alarm(slices.Index(alarmNames[:], arg(1)))}
		switch v.Alarm {
		case Next, Expiry, MaxHold:
			v.Entry = s.entry(arg(2))
		case Patience:
			v.Request = s.request(arg(2))
		case Retry:
			v.Cleanup = s.cleanups[arg(2)]
		case Idle, Check:
			v.Subscription = s.sub
		}
	case "up", "down":
		v = Event{Kind: EventKind(slices.Index(eventNames[:], words[0])), Subscription: s.sub}
	case "close", "cut-off":
		v = Event{Kind: EventKind(slices.Index(eventNames[:], words[0]))}
	default:
		s.t.Fatalf("%q is no command", words[0])
	}
	return s.step(v)
}

// step gives the machine an event, and returns what it answers.
func (s *stage) step(v Event) []string {
	var lines []string
	for _, f := range s.machine.Step(&v, s.now) {
		lines = append(lines, f.Text(s.now))
		switch f.Kind {
		case Send:
			s.pending = append(s.pending, *f.Op)
			if f.Op.Entry != nil {
				s.entries[f.Op.Entry.String()] = f.Op.Entry
			}
			if f.Op.Release != nil && f.Op.Release.Next != nil {
				s.entries[f.Op.Release.Next.String()] = f.Op.Release.Next
			}
		case Grant:
			f.Entry.Holder = f.Request.String()
		case SetAlarm:
			if f.Cleanup != nil {
				s.cleanups[f.Cleanup.Entry.String()] = f.Cleanup
			}
		}
	}
	if err := s.machine.check(); err != nil {
		s.t.Errorf("after %v: %v", &v, err)
	}
	return lines
}

func (s *stage) request(name string) *Request {
	r := s.requests[name]
	if r == nil {
		s.t.Fatalf("there is no request %q", name)
	}
	return r
}

func (s *stage) entry(name string) *Entry {
	e := s.entries[name]
	if e == nil {
		s.t.Fatalf("there is no entry %q", name)
	}
	return e
}

// take takes the oldest operation of a kind and an entry that has no answer.
func (s *stage) take(kind, entry string) Op {
	i := slices.IndexFunc(s.pending, func(o Op) bool {
		return opNames[o.Kind] == kind && (o.Entry == nil || o.Entry.String() == entry)
	})
	if i < 0 {
		s.t.Fatalf("no %s of %s is under way: %v", kind, entry, s.pending)
	}
	o := s.pending[i]
	s.pending = slices.Delete(s.pending, i, i+1)
	return o
}

// options are the words of a command that are no names.
type options struct {
	t     *testing.T
	words map[string]string
}

func optionsOf(t *testing.T, words []string) options {
	o := options{t, map[string]string{}}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		o.words[name] = value
	}
	return o
}

func (o options) has(name string) bool { _, has := o.words[name]; return has }

func (o options) text(name string) any {
	if v, has := o.words[name]; has {
		return v
	}
	return nil
}

func (o options) duration(name string, otherwise time.Duration) time.Duration {
	if !o.has(name) {
		return otherwise
	}
	d, err := time.ParseDuration(o.words[name])
	if err != nil {
		o.t.Fatal(err)
	}
	return d
}

func (o options) int(name string, otherwise int) int {
	if !o.has(name) {
		return otherwise
	}
	n, err := strconv.Atoi(o.words[name])
	if err != nil {
		o.t.Fatal(err)
	}
	return n
}

// reply is what the options say of one.
func (o options) reply(s string) Reply {
	r := Reply{
		Status: status(o.t, s), Ticket: uint64(o.int("ticket", 0)), Position: o.int("position", 0), Queued: o.int("queued", 0),
		Heard: o.has("heard"), Owner: o.text("owner"), TTL: o.duration("ttl", 0),
	}
	if first, last, ok := strings.Cut(o.words["tokens"], ".."); ok {
		r.Tokens.First, _ = strconv.ParseUint(first, 10, 64)
		r.Tokens.Last, _ = strconv.ParseUint(last, 10, 64)
	}
	return r
}

func status(t *testing.T, name string) Status {
	s := slices.Index(statusNames[:], name)
	if s < 0 {
		t.Fatalf("%q is no status", name)
	}
	return Status(s)
}
