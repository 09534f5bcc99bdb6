package hunt

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/latchkey-go/latchkey/idgen"
)

// What a child tells its parent: records of a head (what it is, from which
// maker, how much follows) and a body.
const (
	madeIDs    = iota + 1 // n IDs of one call, of 8 bytes
	hasFailed             // n bytes: the type of an error
	clockJumps            // nothing
)

const headSize = 6

func head(buf []byte, what, maker, n int) []byte {
	return binary.BigEndian.AppendUint32(append(buf, byte(what), byte(maker)), uint32(n))
}

// reportWriter is the child's end. Each record is written at once, so that
// only what a kill interrupts is lost.
type reportWriter struct {
	mu  sync.Mutex
	out io.Writer
	buf []byte
	err error
}

func (w *reportWriter) made(maker int, ids []idgen.ID) {
	if len(ids) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = head(w.buf[:0], madeIDs, maker, len(ids))
	for _, id := range ids {
		w.buf = binary.BigEndian.AppendUint64(w.buf, uint64(id))
	}
	w.flush()
}

func (w *reportWriter) failure(errorType string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(head(w.buf[:0], hasFailed, 0, len(errorType)), errorType...)
	w.flush()
}

func (w *reportWriter) jumped() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = head(w.buf[:0], clockJumps, 0, 0)
	w.flush()
}

func (w *reportWriter) flush() {
	if _, err := w.out.Write(w.buf); err != nil && w.err == nil {
		w.err = err
	}
}

// read hears a child out and tells what it made. It returns nil when the child
// is silent for ever, be it in the middle of a record: the IDs before that
// count.
func (l *ledger) read(r io.Reader) error {
	var buf [headSize + 8]byte
	for {
		if _, err := io.ReadFull(r, buf[:headSize]); err != nil {
			return ended(err)
		}
		what, maker, n := buf[0], int(buf[1]), int(binary.BigEndian.Uint32(buf[2:headSize]))
		switch what {
		case madeIDs:
			for i := range n {
				if _, err := io.ReadFull(r, buf[:8]); err != nil {
					return ended(err)
				}
				l.add(maker, idgen.ID(binary.BigEndian.Uint64(buf[:8])), i > 0)
			}
		case hasFailed:
			text := make([]byte, n)
			if _, err := io.ReadFull(r, text); err != nil {
				return ended(err)
			}
			l.errors[string(text)]++
		case clockJumps:
			l.jumps++
		default:
			return errNoRecord
		}
	}
}

func ended(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}
