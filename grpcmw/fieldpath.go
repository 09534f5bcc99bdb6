package grpcmw

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// fieldPath is a path in a request message, as it is written in a template:
// the name of a field, and of a field in it. After a map stands one of its keys.
// The syntax is that of https://google.aip.dev/161.
type fieldPath []string

// parseFieldPath takes a path apart. It returns what is wrong with it, "" if
// nothing; whether there are such fields, a message's type tells.
func parseFieldPath(text string) (path fieldPath, fault string) {
	for {
		if quoted, ok := strings.CutPrefix(text, "`"); ok {
			segment, rest, closed := cutQuoted(quoted)
			if !closed {
				return nil, "backtick without a closing one"
			}
			if rest != "" && rest[0] != '.' {
				return nil, fmt.Sprintf("%q after a closing backtick, where a dot should be", rest)
			}
			path = append(path, segment)
			if rest == "" {
				return path, ""
			}
			text = rest[1:]
			continue
		}
		segment, rest, more := strings.Cut(text, ".")
		if fault := badSegment(segment); fault != "" {
			return nil, fault
		}
		path = append(path, segment)
		if !more {
			return path, ""
		}
		text = rest
	}
}

// cutQuoted cuts text at its first single backtick; two of them stand for one.
func cutQuoted(text string) (segment, rest string, closed bool) {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "`")
		b.WriteString(before)
		if !found {
			return "", "", false
		}
		if !strings.HasPrefix(after, "`") {
			return b.String(), after, true
		}
		b.WriteByte('`')
		text = after[1:]
	}
}

func badSegment(segment string) string {
	if segment == "" {
		return "field path with nothing where a name should be"
	}
	for _, c := range segment {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		case c == '[':
			return "field path with an index: an element of a repeated field is not a key, because its place says nothing; use KeyOf"
		default:
			return fmt.Sprintf("field path with %q: a map's key that holds it is written in backticks", c)
		}
	}
	return ""
}

// boundPath is a fieldPath in messages of one type.
type boundPath struct {
	steps []step
	// choice is what the path ends in, if it is a oneof and not a field.
	choice protoreflect.OneofDescriptor
}

// step leads from a message to a value in it.
type step struct {
	field  protoreflect.FieldDescriptor
	mapKey protoreflect.MapKey // of the entry, if the field is a map
	// sets: the value is there only if the field is set. Not so that in a wrapper
	// such as google.protobuf.StringValue, which is there for no other purpose. Of
	// messages and maps on the way it need not be asked: what is not set is empty.
	sets bool
}

// bind follows the path through messages of type d. It returns what is wrong, ""
// if nothing.
func (path fieldPath) bind(d protoreflect.MessageDescriptor) (bound boundPath, fault string) {
	for i := 0; i < len(path); i++ {
		field := d.Fields().ByName(protoreflect.Name(path[i]))
		if field == nil {
			if choice := d.Oneofs().ByName(protoreflect.Name(path[i])); choice != nil && !choice.IsSynthetic() && i == len(path)-1 {
				bound.choice = choice
				return bound, choiceFault(choice)
			}
			return bound, fmt.Sprintf("message %s has no field %q", d.FullName(), path[i])
		}
		next, value := step{field: field}, field
		switch {
		case field.IsList():
			return bound, fmt.Sprintf("field %s is repeated: the place of an element says nothing, so it is no key; use KeyOf", field.FullName())
		case field.IsMap():
			if i++; i == len(path) {
				return bound, fmt.Sprintf("field %s is a map: the path must go on with one of its keys", field.FullName())
			}
			var ok bool
			if next.mapKey, ok = mapKey(field.MapKey(), path[i]); !ok {
				return bound, fmt.Sprintf("field %s has no key %q: its keys are of type %v", field.FullName(), path[i], field.MapKey().Kind())
			}
			value = field.MapValue()
		}
		last := i == len(path)-1
		inner := value.Message()
		next.sets = last && !next.mapKey.IsValid()
		bound.steps = append(bound.steps, next)
		switch {
		case inner == nil && !last:
			return bound, fmt.Sprintf("field %s is no message, and the path goes on", field.FullName())
		case inner != nil && last && isWrapper(inner):
			wrapped := inner.Fields().ByName("value")
			bound.steps = append(bound.steps, step{field: wrapped})
			return bound, kindFault(wrapped)
		case last:
			return bound, kindFault(value)
		}
		d = inner
	}
	return bound, ""
}

func choiceFault(choice protoreflect.OneofDescriptor) string {
	for i := range choice.Fields().Len() {
		if fault := kindFault(choice.Fields().Get(i)); fault != "" {
			return fmt.Sprintf("oneof %s: %s", choice.FullName(), fault)
		}
	}
	return ""
}

// isWrapper tells whether messages of type d stand for a value that may be
// absent (google/protobuf/wrappers.proto).
func isWrapper(d protoreflect.MessageDescriptor) bool {
	return d.ParentFile().Path() == "google/protobuf/wrappers.proto"
}

// value returns the text of what the path leads to, and false if it is not
// there.
func (b *boundPath) value(m protoreflect.Message) (string, bool) {
	var v protoreflect.Value
	var last protoreflect.FieldDescriptor
	for i := range b.steps {
		s := &b.steps[i]
		if i > 0 {
			m = v.Message()
		}
		if s.sets && !m.Has(s.field) {
			return "", false
		}
		v, last = m.Get(s.field), s.field
		if s.mapKey.IsValid() {
			if v, last = v.Map().Get(s.mapKey), s.field.MapValue(); !v.IsValid() {
				return "", false
			}
		}
	}
	if b.choice == nil {
		return valueText(last, v), true
	}
	if len(b.steps) > 0 {
		m = v.Message()
	}
	chosen := m.WhichOneof(b.choice)
	if chosen == nil {
		return "", false
	}
	return choiceText(chosen, m.Get(chosen)), true
}
