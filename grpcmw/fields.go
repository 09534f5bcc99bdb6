package grpcmw

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/latchkey-go/latchkey/core/keys"
)

// maxBindings is how many types of message a key remembers. A method has one,
// but for a server that makes the types of its messages as it goes.
const maxBindings = 256

// fields are the fields that a template names, in the order in which they stand.
// Which they are in a message, its type tells; that is found out once for each.
type fields struct {
	template string
	refs     []keys.Ref
	paths    []fieldPath

	mu    sync.Mutex
	known atomic.Pointer[map[protoreflect.MessageDescriptor]*binding]
}

// binding is the fields in messages of one type.
type binding struct {
	paths  []boundPath
	faults []error // those of the fields that are not there or no key
}

// in returns the message and its binding.
func (f *fields) in(req any) (protoreflect.Message, *binding, error) {
	var m protoreflect.Message
	switch req := req.(type) {
	case proto.Message:
		m = req.ProtoReflect()
	case protoadapt.MessageV1:
		m = protoadapt.MessageV2Of(req).ProtoReflect()
	default:
		return nil, nil, fmt.Errorf("grpcmw: the key (%q) needs a protobuf message, and the request is a %T", f.template, req)
	}
	b := f.binding(m.Descriptor())
	return m, b, errors.Join(b.faults...)
}

func (f *fields) binding(d protoreflect.MessageDescriptor) *binding {
	if known := f.known.Load(); known != nil {
		if b := (*known)[d]; b != nil {
			return b
		}
	}
	b := f.bind(d)
	f.mu.Lock()
	defer f.mu.Unlock()
	next := map[protoreflect.MessageDescriptor]*binding{}
	if known := f.known.Load(); known != nil {
		if len(*known) >= maxBindings {
			return b
		}
		next = maps.Clone(*known)
	}
	next[d] = b
	f.known.Store(&next)
	return b
}

// bind finds the fields in messages of type d.
func (f *fields) bind(d protoreflect.MessageDescriptor) *binding {
	b := &binding{paths: make([]boundPath, len(f.paths))}
	for i, path := range f.paths {
		var fault string
		if b.paths[i], fault = path.bind(d); fault == "" {
			fault = b.paths[i].formFault(f.refs[i].Form)
		}
		if fault != "" {
			b.faults = append(b.faults, fmt.Errorf("has a bad key: %w",
				&keys.SyntaxError{Template: f.template, Offset: f.refs[i].Offset, Reason: fault}))
		}
	}
	return b
}
