package fleet

import (
	"os"
	"strings"
	"sync"
)

// tail passes on what a process writes to its stderr, and keeps the end.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const (
	tailKept = 256 << 10 // the stacks of all goroutines
	tailTold = 4 << 10
)

func (e *tail) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.text = append(e.text, b...)
	e.text = e.text[max(0, len(e.text)-tailKept):]
	return os.Stderr.Write(b)
}

func (e *tail) String() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return string(e.text)
}

// last is the end, or what a crash begins with: the stacks after that are long.
func (e *tail) last() string {
	text := e.String()
	for _, begin := range []string{"WARNING: DATA RACE", "fatal error:", "panic:"} {
		if i := strings.LastIndex(text, begin); i >= 0 {
			return text[i:min(len(text), i+tailTold)]
		}
	}
	return text[max(0, len(text)-tailTold):]
}

// stacks are those of goroutines that are in the library, or in what calls it.
func (e *tail) stacks() string {
	var ours []string
	for _, stack := range strings.Split(e.String(), "\n\n") {
		if strings.Contains(stack, "latchkey-go/") {
			ours = append(ours, stack)
		}
	}
	text := strings.Join(ours, "\n\n")
	return text[:min(len(text), 4*tailTold)]
}
