package grpcmw

import (
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/latchkey-go/latchkey/grpcmw/lockpb"
)

// FromProtoOptions locks the methods that say so in their .proto files, by the
// option (latchkey.v1.lock):
//
//	import "latchkey/v1/lock.proto";
//
//	rpc Update(UpdateRequest) returns (UpdateReply) {
//	  option (latchkey.v1.lock) = {key: "order:{field.order.id}" wait: {seconds: 2}};
//	}
//
// See package lockpb for how to import it, and [KeyTemplate] for keys. What the
// option does not say is as the options of [New] say; where [For] names a method,
// the method's option does not count.
//
// The program's registry of protobuf files, where generated code puts them, is
// read once, by New. It may know services that this server does not have, so what
// is wrong with an option is no fault of New's: [Middleware.Verify] reports it,
// for methods that are registered, and their calls are denied.
func FromProtoOptions() Option { return option(func(o *options) { o.declared = true }) }

// declaredLocks returns the locks that methods declare, by full method.
func declaredLocks() map[string]*lockpb.Lock {
	// Read afterwards, because what is read for the first time asks the registry,
	// and that is locked as long as it is gone through.
	var files []protoreflect.FileDescriptor
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		files = append(files, file)
		return true
	})
	locks := map[string]*lockpb.Lock{}
	for _, file := range files {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				if lock := lockOf(methods.Get(j)); lock != nil {
					locks["/"+string(methods.Get(j).Parent().FullName())+"/"+string(methods.Get(j).Name())] = lock
				}
			}
		}
	}
	return locks
}

// lockOf returns the lock that a method declares, nil if it declares none.
func lockOf(method protoreflect.MethodDescriptor) *lockpb.Lock {
	opts := method.Options().ProtoReflect()
	option := lockpb.E_Lock.TypeDescriptor()
	var lock proto.Message
	opts.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if field.FullName() == option.FullName() && field.Message() != nil && !field.IsList() {
			lock = v.Message().Interface()
		}
		return lock == nil
	})
	switch lock := lock.(type) {
	case nil:
		// None, or not known when it was read: an option that is not seen would be
		// a lock that is not there.
		return readLock(unknownField(opts, option.Number()))
	case *lockpb.Lock:
		return lock
	default: // of descriptors that are somebody's own
		b, err := proto.Marshal(lock)
		if err != nil {
			return new(lockpb.Lock)
		}
		return readLock(protowire.AppendBytes(protowire.AppendTag(nil, option.Number(), protowire.BytesType), b))
	}
}

// unknownField returns what m has of a field that it does not know.
func unknownField(m protoreflect.Message, number protowire.Number) (field []byte) {
	for b := m.GetUnknown(); len(b) > 0; {
		n, kind, size := protowire.ConsumeField(b)
		if size < 0 {
			break
		}
		if n == number && kind == protowire.BytesType {
			field = append(field, b[:size]...)
		}
		b = b[size:]
	}
	return field
}

// readLock reads the option out of a method's options, nil if they are empty. One
// that cannot be read is a lock without a key, which nobody gets.
func readLock(options []byte) *lockpb.Lock {
	if len(options) == 0 {
		return nil
	}
	var opts descriptorpb.MethodOptions
	if proto.Unmarshal(options, &opts) != nil {
		return new(lockpb.Lock)
	}
	lock, _ := proto.GetExtension(&opts, lockpb.E_Lock).(*lockpb.Lock)
	return lock
}

// declaredMethod is the For that an option stands for.
func declaredMethod(fullMethod string, lock *lockpb.Lock) forMethod {
	var opts []MethodOption
	duration := func(d *durationpb.Duration, name string, set func(*durationpb.Duration) MethodOption) {
		switch {
		case d == nil:
		case d.CheckValid() != nil:
			opts = append(opts, methodOption(func(t *terms) { t.bad("%s is no valid duration: %w", name, d.CheckValid()) }))
		default:
			opts = append(opts, set(d))
		}
	}
	duration(lock.Wait, "wait", func(d *durationpb.Duration) MethodOption { return Wait(d.AsDuration()) })
	duration(lock.Ttl, "ttl", func(d *durationpb.Duration) MethodOption { return TTL(d.AsDuration()) })
	duration(lock.MaxHold, "max_hold", func(d *durationpb.Duration) MethodOption { return MaxHold(d.AsDuration()) })
	if lock.MaxWaiters != nil {
		opts = append(opts, MaxWaiters(int(lock.GetMaxWaiters())))
	}
	switch p := lock.GetOnMissing(); {
	case lock.GetFallback() != "" && p != lockpb.Lock_ON_MISSING_UNSPECIFIED:
		opts = append(opts, methodOption(func(t *terms) { t.bad("fallback and on_missing: give one of both") }))
	case lock.GetFallback() != "":
		opts = append(opts, OnMissing(Fallback(lock.GetFallback())))
	case p == lockpb.Lock_ON_MISSING_UNSPECIFIED:
	case p == lockpb.Lock_REJECT:
		opts = append(opts, OnMissing(Reject))
	case p == lockpb.Lock_SKIP:
		opts = append(opts, OnMissing(Skip))
	default:
		opts = append(opts, methodOption(func(t *terms) { t.bad("unknown on_missing %d", p) }))
	}
	if lock.GetName() != "" {
		opts = append(opts, Name(lock.GetName()))
	}
	if lock.GetScoped() {
		opts = append(opts, Scoped())
	}
	return forMethod{fullMethod: fullMethod, key: KeyTemplate(lock.GetKey()), opts: opts}
}
