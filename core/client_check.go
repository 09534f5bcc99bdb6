package core

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/latchkey-go/latchkey/core/internal/backend"
)

// checkClient refuses the clients that a Locker cannot be safe on, also within a
// wrapper. New calls it once, so that it may use reflection.
func checkClient(rdb redis.UniversalClient) error {
	if rdb == nil {
		return fmt.Errorf("%w: it is nil", ErrUnsupportedClient)
	}
	v := reflect.ValueOf(rdb)
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("%w: it is a nil %T", ErrUnsupportedClient, rdb)
	}
	w := wrapper{cluster: backend.IsCluster(rdb)}
	if w.look(v, 0); w.fault == "" && w.found == 0 && w.empty != "" {
		w.refuse(1, "has a nil "+w.empty+"; give it a client")
	}
	switch {
	case w.fault == "":
		return w.address
	case w.depth == 0:
		return fmt.Errorf("%w: %T %s", ErrUnsupportedClient, rdb, w.fault)
	}
	return fmt.Errorf("%w: the wrapper %T %s", ErrUnsupportedClient, rdb, w.fault)
}

// maxWrappers bounds how deep a client is looked for.
const maxWrappers = 8

var (
	universalType = reflect.TypeFor[redis.UniversalClient]()
	clientType    = reflect.TypeFor[redis.Client]()
	clusterType   = reflect.TypeFor[redis.ClusterClient]()
	ringType      = reflect.TypeFor[redis.Ring]()
	pipelinerType = reflect.TypeFor[redis.AutoPipeliner]()
)

// wrapper looks for the go-redis client that a value leads to.
type wrapper struct {
	cluster bool   // a cluster's client is made use of as one
	found   int    // clients
	fault   string // of the first client that is not supported
	depth   int    // how many structs it is within
	empty   string // the type of an embedded client that is nil
	address error  // of a client whose address is none
}

// look looks for clients in v, which may be one. It goes by types, and so sees
// through fields that are not exported, too.
func (w *wrapper) look(v reflect.Value, depth int) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return
		}
		v = v.Elem()
	}
	if depth > maxWrappers || w.fault != "" {
		return
	}
	switch v.Type() {
	case clientType:
		w.found++
		if c, ok := clientIn(v).(*redis.Client); ok {
			w.address = checkAddress("redis.ParseURL", c.Options().Addr)
		}
	case clusterType:
		w.found++
		if c, ok := clientIn(v).(*redis.ClusterClient); ok {
			w.address = checkAddress("redis.ParseClusterURL", c.Options().Addrs...)
		}
		if !w.cluster {
			w.refuse(depth, "hides a *redis.ClusterClient: calls for several slots would fail (CROSSSLOT); embed the *redis.ClusterClient itself, so that its methods are the wrapper's, too, or give New the client and use AddHook")
		}
	case ringType:
		w.found++
		w.refuse(depth, "is a *redis.Ring: when a server fails its keys move to another, and both grant; use a *redis.Client (single server or Sentinel) or a *redis.ClusterClient")
	case pipelinerType:
		w.found++
		w.refuse(depth, "is a *redis.AutoPipeliner, which does not return while Redis hangs; use the client that it was made from")
	default:
		w.within(v, depth)
	}
}

// clientIn returns the pointer to the client that v is; nil if it is in a field that
// is not exported, which can be seen but not used.
func clientIn(v reflect.Value) any {
	if v.CanAddr() && v.Addr().CanInterface() {
		return v.Addr().Interface()
	}
	return nil
}

func (w *wrapper) refuse(depth int, fault string) {
	if depth > 0 {
		fault = strings.Replace(fault, "is a ", "wraps a ", 1)
	}
	w.fault, w.depth = fault, depth
}

// within looks into what is no client of go-redis itself.
func (w *wrapper) within(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		if w.embedded(v, depth) {
			return
		}
		for i := range v.NumField() {
			if mayHold(v.Type().Field(i).Type, 0) {
				w.look(v.Field(i), depth+1)
			}
		}
	case reflect.Slice, reflect.Array:
		for i := 0; isClient(v.Type().Elem()) && i < v.Len(); i++ {
			w.look(v.Index(i), depth+1)
		}
	case reflect.Map:
		for it := v.MapRange(); isClient(v.Type().Elem()) && it.Next(); {
			w.look(it.Value(), depth+1)
		}
	}
}

// embedded looks into the fields whose methods are the struct's. If one of them is
// a client, others are not looked at: they may be for something else.
func (w *wrapper) embedded(v reflect.Value, depth int) bool {
	before := w.found
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if !f.Anonymous || !isClient(f.Type) {
			continue
		}
		switch k := f.Type.Kind(); {
		case k == reflect.Pointer && v.Field(i).IsNil():
			w.refuse(depth+1, "has a nil "+f.Type.String()+"; give it a client")
			return true
		case k == reflect.Interface && v.Field(i).IsNil():
			w.empty = f.Type.String() // which may never be called
			continue
		}
		w.look(v.Field(i), depth+1)
	}
	return w.found > before
}

// isClient reports whether a value of type t, or a pointer to one, is a client.
func isClient(t reflect.Type) bool {
	return t.Implements(universalType) || reflect.PointerTo(t).Implements(universalType)
}

// mayHold reports whether a field of type t may lead to a client. Others are not
// looked at: they may change meanwhile, and be large.
func mayHold(t reflect.Type, depth int) bool {
	switch {
	case depth > maxWrappers:
		return false
	case isClient(t):
		return true
	}
	switch t.Kind() {
	case reflect.Pointer:
		return mayHold(t.Elem(), depth+1)
	case reflect.Slice, reflect.Array, reflect.Map:
		return isClient(t.Elem())
	case reflect.Interface: // one that a client satisfies, such as redis.Cmdable
		return universalType.Implements(t)
	case reflect.Struct:
		for i := range t.NumField() {
			if mayHold(t.Field(i).Type, depth+1) {
				return true
			}
		}
	}
	return false
}

// checkAddress refuses a URL in place of an address, which go-redis would take for
// a host's name with too many colons each time that it connects. (A Sentinel's
// client does not tell the Sentinels' addresses.)
func checkAddress(parse string, addrs ...string) error {
	for _, addr := range addrs {
		if scheme, _, is := strings.Cut(addr, "://"); is {
			return fmt.Errorf("%w: the address is a URL (%s://…), and has to be host:port; have %s make the options of the URL", ErrUnsupportedClient, scheme, parse)
		}
	}
	return nil
}
