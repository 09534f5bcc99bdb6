package fleet

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// What a process tells its parent, as it happens: what is told has happened even
// if the process is killed next.
const (
	hello   = iota + 1 // token and proven are the Locker's name, see hailed
	asked              // key; token is the longest wait, proven the deadline or Never
	granted            // token, proven
	proven             // proven
	freed
	back       // Release has returned nil
	unreturned // class: Release has failed
	failed     // class
	late       // of O4: not told of a loss in time; proven is by how much
	lagged     // proven is by how much the process's timers were late, or 0: a beat
	unwritten  // a write has failed
	bye        // class is 1 if goroutines are left
)

// record is one thing that is told. All are of one size.
type record struct {
	what    byte
	class   byte // of an error
	key     uint16
	attempt uint32
	at      time.Duration
	token   uint64
	proven  time.Duration // until when
}

const recordSize = 1 + 1 + 2 + 4 + 8 + 8 + 8

func (r record) append(b []byte) []byte {
	b = append(b, r.what, r.class)
	b = binary.BigEndian.AppendUint16(b, r.key)
	b = binary.BigEndian.AppendUint32(b, r.attempt)
	b = binary.BigEndian.AppendUint64(b, uint64(r.at))
	b = binary.BigEndian.AppendUint64(b, r.token)
	return binary.BigEndian.AppendUint64(b, uint64(r.proven))
}

func (r *record) parse(b []byte) {
	r.what, r.class = b[0], b[1]
	r.key = binary.BigEndian.Uint16(b[2:])
	r.attempt = binary.BigEndian.Uint32(b[4:])
	r.at = time.Duration(binary.BigEndian.Uint64(b[8:]))
	r.token = binary.BigEndian.Uint64(b[16:])
	r.proven = time.Duration(binary.BigEndian.Uint64(b[24:]))
}

// hailed is the first record of a process: what its Locker is called in Redis,
// which is 128 bits in hex.
func hailed(name string) (record, error) {
	bits, err := hex.DecodeString(name)
	if err != nil || len(bits) != 16 {
		return record{}, fmt.Errorf("the Locker's name is %q", name)
	}
	return record{
		what: hello, at: now(), token: binary.BigEndian.Uint64(bits), proven: time.Duration(binary.BigEndian.Uint64(bits[8:])),
	}, nil
}

// name is the inverse of hailed.
func (r record) name() backend.Process {
	return backend.Process(fmt.Sprintf("%016x%016x", r.token, uint64(r.proven)))
}

// recorder is the process's end. It is safe for concurrent use.
type recorder struct {
	mu  sync.Mutex
	out io.Writer
	buf []byte
}

// tell writes a record at once: a buffer would die with the process.
func (w *recorder) tell(r record) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = r.append(w.buf[:0])
	if _, err := w.out.Write(w.buf); err != nil {
		os.Exit(1) // nobody is there to hear
	}
}

// hear calls take with each record until the process is silent for ever, be it in
// the middle of one.
func hear(in io.Reader, take func(record)) error {
	b := make([]byte, 2048*recordSize)
	for n := 0; ; {
		more, err := in.Read(b[n:])
		n += more
		done := 0
		for ; n-done >= recordSize; done += recordSize {
			var r record
			r.parse(b[done:])
			take(r)
		}
		n = copy(b, b[done:n])
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			return err
		}
	}
}
