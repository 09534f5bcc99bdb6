package grpcmw

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/latchkey-go/latchkey/core"
)

// Verify compares the locked methods with those that a server has registered:
//
//	err := m.Verify(srv.GetServiceInfo())
//
// Call it after the last service is registered and before the server serves. A
// method with a wrong name would otherwise run without a lock, and nobody would
// notice. Its error matches [core.ErrOption] and lists, in the order of the
// methods' names, every one that
//
//   - [For] names and that is not registered;
//   - is a client or bidi stream with a key that needs its request;
//   - has requests that lack a field of its key's template, or are of another type
//     than its key is a function of (as far as the service is in the program's
//     registry of protobuf files, where generated code puts it);
//   - declares a lock in its .proto file with a malformed key or a setting that is
//     out of range, or declares one without [FromProtoOptions] being given and
//     without being named by For or [Except];
//
// and then every name of [Only] and Except that is not registered.
func (m *Middleware) Verify(services map[string]grpc.ServiceInfo) error {
	registered := methodsOf(services)
	var errs []error
	known := slices.Concat(slices.Collect(maps.Keys(m.methods)), slices.Collect(maps.Keys(registered)))
	slices.Sort(known)
	for _, name := range slices.Compact(known) {
		info, ok := registered[name]
		if m.methods[name] == nil {
			errs = append(errs, m.overlooked(name)...)
		}
		switch method := m.find(name, true); {
		case method == nil:
		case ok:
			errs = append(errs, method.verify(name, info)...)
		case !method.declared: // a declared one is another server's
			errs = append(errs, faultf(name, "is not registered"))
		}
	}
	for _, name := range slices.Concat(m.selection.only, m.selection.except) {
		_, method := registered[name]
		if _, service := services[name]; !method && !service {
			errs = append(errs, fmt.Errorf("%w: grpcmw: Only or Except: %q is not registered", core.ErrOption, name))
		}
	}
	return errors.Join(errs...)
}

// Locked returns the full names of the registered methods that are locked, in their
// order, so that a program can log what [ForAll] has taken in, or a test compare it
// with what is meant:
//
//	slog.Info("locked", "methods", m.Locked(srv.GetServiceInfo()))
//
// Methods that Verify finds fault with are among them: their calls are denied.
func (m *Middleware) Locked(services map[string]grpc.ServiceInfo) []string {
	var locked []string
	for name := range methodsOf(services) {
		if m.find(name, true) != nil {
			locked = append(locked, name)
		}
	}
	slices.Sort(locked)
	return locked
}

// methodsOf returns the registered methods by their full names.
func methodsOf(services map[string]grpc.ServiceInfo) map[string]grpc.MethodInfo {
	registered := make(map[string]grpc.MethodInfo)
	for service, info := range services {
		for _, method := range info.Methods {
			registered["/"+service+"/"+method.Name] = method
		}
	}
	return registered
}

// verify lists what is wrong with a method that is registered.
func (m *method) verify(name string, info grpc.MethodInfo) []error {
	errs := slices.Clone(m.faults)
	switch {
	case !m.key.onMessage, m.key.fits == nil && !info.IsClientStream:
		return errs
	case info.IsClientStream:
		return append(errs, faultf(name, "is a %s stream, and its key (%s) needs a request message: use metadata", streamKind(info), m.key.text))
	}
	d := descriptorOf(name)
	if d == nil {
		return errs
	}
	for _, err := range m.key.fits(d.Input(), m.terms.skipMissing || m.terms.fallback != nil) {
		errs = append(errs, faultf(name, "%w", err))
	}
	return errs
}

// overlooked reports a method that declares a lock, which is not the one in force.
func (m *Middleware) overlooked(name string) []error {
	if m.declared || names(m.selection.except, name) {
		return nil
	}
	if d := descriptorOf(name); d == nil || lockOf(d) == nil {
		return nil
	}
	return []error{faultf(name, "declares a lock in its .proto file, and FromProtoOptions is not given (name it in Except if that is meant)")}
}

func streamKind(info grpc.MethodInfo) string {
	if info.IsServerStream {
		return "bidi"
	}
	return "client"
}

// descriptorOf returns a method's descriptor, nil if it is not registered.
func descriptorOf(fullMethod string) protoreflect.MethodDescriptor {
	service, method, _ := splitMethod(fullMethod)
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return nil
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return nil
	}
	return sd.Methods().ByName(protoreflect.Name(method))
}
