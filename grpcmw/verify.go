package grpcmw

import (
	"errors"
	"maps"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Verify compares the locked methods with those that a server has registered:
//
//	err := m.Verify(srv.GetServiceInfo())
//
// Call it after the last service is registered and before the server serves. A
// method with a wrong name would otherwise run without a lock, and nobody would
// notice. Its error matches [core.ErrOption] and lists, in the order of the
// methods' names, every one that is not registered, that is a client or bidi
// stream with a key that needs its request, or whose key is a function of
// another type of request than the method has (as far as the service is in the
// program's registry of protobuf files, where generated code puts it).
func (m *Middleware) Verify(services map[string]grpc.ServiceInfo) error {
	registered := make(map[string]grpc.MethodInfo)
	for service, info := range services {
		for _, method := range info.Methods {
			registered["/"+service+"/"+method.Name] = method
		}
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(m.methods)) {
		key := &m.methods[name].key
		info, ok := registered[name]
		switch {
		case !ok:
			errs = append(errs, faultf(name, "is not registered"))
		case key.onMessage && info.IsClientStream:
			errs = append(errs, faultf(name, "is a %s stream, and its key (%s) needs a request message: use metadata", streamKind(info), key.text))
		case key.onMessage && key.message != "":
			if input, ok := inputOf(name); ok && input != key.message {
				errs = append(errs, faultf(name, "has requests of type %s, and its key is a %s", input, key.text))
			}
		}
	}
	return errors.Join(errs...)
}

func streamKind(info grpc.MethodInfo) string {
	if info.IsServerStream {
		return "bidi"
	}
	return "client"
}

// inputOf returns the request type of a method whose service's descriptor is
// registered.
func inputOf(fullMethod string) (protoreflect.FullName, bool) {
	service, method, _ := splitMethod(fullMethod)
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(service))
	if err != nil {
		return "", false
	}
	sd, ok := d.(protoreflect.ServiceDescriptor)
	if !ok {
		return "", false
	}
	md := sd.Methods().ByName(protoreflect.Name(method))
	if md == nil {
		return "", false
	}
	return md.Input().FullName(), true
}
