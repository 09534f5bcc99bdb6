package httpmw

import (
	"net/http"
	"strconv"
	"time"
)

// ServerTiming adds the header Server-Timing: lock;dur=… (W3C Server Timing) to
// the answers of the route, denials included: how long, in milliseconds, the
// request stood in line and waited for Redis before its handler ran, or before it
// was denied. Browsers show it in their developer tools.
//
// The handler can still change the header. A request without a lock because its
// key was skipped has none. Whoever gets the answer learns how busy its key is:
// that is why it is an option.
func ServerTiming() Option { return option(func(o *options) { o.serverTiming = true }) }

// stopwatch measures one request; the zero value does not.
type stopwatch struct{ start time.Time }

func (o *options) startWatch() stopwatch {
	if !o.serverTiming {
		return stopwatch{}
	}
	return stopwatch{time.Now()}
}

// stop adds the header, once.
func (s *stopwatch) stop(w http.ResponseWriter) {
	if s.start.IsZero() {
		return
	}
	b := append(make([]byte, 0, 32), "lock;dur="...)
	ms := float64(time.Since(s.start)) / float64(time.Millisecond)
	w.Header().Add("Server-Timing", string(strconv.AppendFloat(b, ms, 'f', 3, 64)))
	s.start = time.Time{}
}
