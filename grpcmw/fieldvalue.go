package grpcmw

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/latchkey-go/latchkey/core/keys"
)

// kindFault says why values of a field cannot stand in a key, "" if they can.
func kindFault(field protoreflect.FieldDescriptor) string {
	switch field.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return fmt.Sprintf("field %s is a message: the path must go on to one of its fields", field.FullName())
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return fmt.Sprintf("field %s is a %v: numbers that are only about equal are no key", field.FullName(), field.Kind())
	}
	return ""
}

// formFault says why what the path leads to never has the form, "" if it may.
func (b *boundPath) formFault(form keys.Form) string {
	if form != keys.Int && form != keys.UUID {
		return ""
	}
	if b.choice != nil {
		return fmt.Sprintf("oneof %s stands in a key as a field's number and its value, which never has the form %s", b.choice.FullName(), form)
	}
	last := b.steps[len(b.steps)-1]
	field := last.field
	if last.mapKey.IsValid() {
		field = field.MapValue()
	}
	switch field.Kind() {
	case protoreflect.StringKind:
		return ""
	case protoreflect.BytesKind: // hexadecimal
		if form == keys.UUID {
			return ""
		}
	case protoreflect.BoolKind:
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		if form == keys.Int {
			return fmt.Sprintf("field %s is a %v and may be beyond the form int: leave it out, the field is decimal as it is", field.FullName(), field.Kind())
		}
	default:
		if form == keys.Int {
			return ""
		}
	}
	return fmt.Sprintf("field %s is a %v, which never has the form %s", field.FullName(), field.Kind(), form)
}

// valueText returns the only text of a value. An enum is its number: names may
// have aliases, change, and be unknown to a replica that was built before.
func valueText(field protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch field.Kind() {
	case protoreflect.StringKind:
		return v.String()
	case protoreflect.BytesKind:
		return hex.EncodeToString(v.Bytes())
	case protoreflect.BoolKind:
		return strconv.FormatBool(v.Bool())
	case protoreflect.EnumKind:
		return strconv.FormatInt(int64(v.Enum()), 10)
	case protoreflect.Uint32Kind, protoreflect.Uint64Kind, protoreflect.Fixed32Kind, protoreflect.Fixed64Kind:
		return strconv.FormatUint(v.Uint(), 10)
	default:
		return strconv.FormatInt(v.Int(), 10)
	}
}

// choiceText returns the text of a oneof's value. The field's number sets user a
// apart from group a; its name might change.
func choiceText(field protoreflect.FieldDescriptor, v protoreflect.Value) string {
	return strconv.Itoa(int(field.Number())) + "=" + valueText(field, v)
}

// mapKey returns the key that text stands for in a map with keys of that kind.
// There is only one text for each.
func mapKey(kind protoreflect.FieldDescriptor, text string) (protoreflect.MapKey, bool) {
	v, ok := mapKeyValue(kind.Kind(), text)
	if !ok || valueText(kind, v) != text {
		return protoreflect.MapKey{}, false
	}
	return v.MapKey(), true
}

func mapKeyValue(kind protoreflect.Kind, text string) (protoreflect.Value, bool) {
	switch kind {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text), true
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(text == "true"), true
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		n, err := strconv.ParseUint(text, 10, 32)
		return protoreflect.ValueOfUint32(uint32(n)), err == nil
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		n, err := strconv.ParseUint(text, 10, 64)
		return protoreflect.ValueOfUint64(n), err == nil
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		n, err := strconv.ParseInt(text, 10, 32)
		return protoreflect.ValueOfInt32(int32(n)), err == nil
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		return protoreflect.ValueOfInt64(n), err == nil
	}
}
