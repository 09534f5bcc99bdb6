package fleet

import (
	"os"
	"strings"
	"testing"
	"time"
)

// A process of this test's own does what crash says, instead of work.
const crash = "LATCHKEY_TORTURE_CRASH"

func TestMain(m *testing.M) {
	switch os.Getenv(crash) {
	case "panic":
		panic("the library is broken")
	case "race":
		os.Exit(66) // as the race detector has it
	case "stay":
		_ = os.Stdout.Close()
		<-time.After(time.Hour)
	case "stuck":
		w := recorder{out: os.Stdout}
		w.tell(record{what: asked, attempt: 1, at: now()})
		w.tell(record{what: failed, attempt: 1, at: now()})
		w.tell(record{what: asked, attempt: 2, at: now()})
		<-time.After(time.Hour)
	}
	Child()
	os.Exit(m.Run())
}

// crashing starts a process that does so, and returns when it has come to that.
func crashing(t *testing.T, how string) *process {
	t.Helper()
	t.Setenv(crash, how)
	p, err := startProcess(Work{Process: 7})
	if err != nil {
		t.Fatal(err)
	}
	if err := hear(p.out, func(record) {}); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAKillDoesNotHideACrash(t *testing.T) {
	for how, tells := range map[string]string{"panic": "the library is broken", "race": "exit status 66"} {
		if err := crashing(t, how).kill(); err == nil || !strings.Contains(err.Error(), tells) {
			t.Errorf("%s, then killed: %v, want it to tell %q", how, err, tells)
		}
	}
	if err := crashing(t, "stay").kill(); err != nil {
		t.Errorf("killed at work: %v", err)
	}
}

func TestAProcessThatStaysShowsItsStacks(t *testing.T) {
	p := crashing(t, "stay")
	begun := time.Now()
	if text := p.stacks(); !strings.Contains(text, "latchkey-go/latchkey/core/internal/torture/fleet.TestMain") || !p.ended {
		t.Errorf("after %v: %q", time.Since(begun), text)
	}
}

// A call that never returns is found, and the campaign goes on.
func TestACallThatNeverReturnsIsFound(t *testing.T) {
	t.Setenv(crash, "stuck")
	process, err := startProcess(Work{Process: 7})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{}
	f := &Fleet{t: t, places: []*place{p}, ledger: newLedger(), patience: 3 * time.Second}
	f.listen(p, process)
	process.leave()
	if f.awaitSilence(p) {
		t.Fatal("it has come to its end")
	}
	if len(f.found) != 2 || !strings.Contains(f.found[0].Text, "TestMain") || !strings.Contains(f.found[1].Text, "attempt 7.2") {
		t.Errorf("found %v", f.found)
	}
	if !f.awaitSilence(p) || p.process.wait() != nil {
		t.Error("it is found again")
	}
}
