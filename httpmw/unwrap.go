package httpmw

import (
	"bufio"
	"net"
	"net/http"
)

// unwrapping is a ResponseWriter that cannot flush or hijack itself but unwraps to
// one that can, as middlewares' own often do. It is made to do so itself, so that
// hooks are in the way of an [http.ResponseController], which would unwrap past
// them. It flushes by FlushError only: handlers that ask for an [http.Flusher] find
// what they would find without a lock.
type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w unwrapping) FlushError() error { return http.NewResponseController(w.ResponseWriter).Flush() }

// unwrappingHijacker is one that hijacks, itself or by unwrapping.
type unwrappingHijacker struct{ unwrapping }

func (w unwrappingHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// unwrappingBoth is one that hijacks and is an http.Flusher itself.
type unwrappingBoth struct {
	unwrappingHijacker
	http.Flusher
}

// direct returns w such that it flushes and hijacks itself if it unwraps to what
// does.
func direct(w http.ResponseWriter) http.ResponseWriter {
	_, hijacks := w.(http.Hijacker)
	flusher, flushes := w.(http.Flusher)
	_, flushesByError := w.(errorFlusher)
	hijackable := unwrapsTo[http.Hijacker](w)
	flushable := unwrapsTo[http.Flusher](w) || unwrapsTo[errorFlusher](w)
	switch {
	case hijacks == hijackable && (flushes || flushesByError) == flushable:
		return w
	case !hijackable:
		return unwrapping{w}
	case flushes:
		return unwrappingBoth{unwrappingHijacker{unwrapping{w}}, flusher}
	}
	return unwrappingHijacker{unwrapping{w}}
}

type errorFlusher interface{ FlushError() error }

// unwrapsTo tells whether w, or what it unwraps to, is a T.
func unwrapsTo[T any](w http.ResponseWriter) bool {
	for {
		if _, is := w.(T); is {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}
