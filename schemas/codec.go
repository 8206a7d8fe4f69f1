package schemas

import (
	"fmt"

	"google.golang.org/protobuf/proto"
)

// MessageCodec is a goka codec for one message type; see [Codec]. Its methods may be called from any goroutine.
type MessageCodec[T proto.Message] struct{}

// Codec returns the codec of a message type, for example Codec[*flowv1.FlowStatus]().
func Codec[T proto.Message]() MessageCodec[T] { return MessageCodec[T]{} }

// Marshal encodes a message as records and hashes have it: deterministic, so that the same message is the same bytes.
func Marshal(m proto.Message) ([]byte, error) {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	return b, nil
}

// Encode encodes a message of type T. A value of another type, or nil, is a [TypeError].
func (c MessageCodec[T]) Encode(value any) ([]byte, error) {
	m, ok := value.(T)
	if !ok {
		return nil, &TypeError{Want: c.TypeName(nil), Got: goType(value)}
	}
	if !m.ProtoReflect().IsValid() {
		return nil, &TypeError{Want: c.TypeName(nil), Got: "nil " + goType(value)}
	}
	return Marshal(m)
}

// Decode returns a T. Bytes that are no T are a [DecodeError]; fields that T does not know are kept.
func (c MessageCodec[T]) Decode(data []byte) (any, error) {
	var zero T
	m := zero.ProtoReflect().New().Interface()
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, &DecodeError{Type: c.TypeName(nil), Err: err}
	}
	return m, nil
}

// DecodeAs is Decode for a record whose header fl-type is known: another type than T is a [TypeError]. An empty name
// means that the record has no such header.
func (c MessageCodec[T]) DecodeAs(typeName string, data []byte) (any, error) {
	if want := c.TypeName(nil); typeName != "" && typeName != want {
		return nil, &TypeError{Want: want, Got: typeName}
	}
	return c.Decode(data)
}

// TypeName returns the full name of T, for header fl-type. All messages of the codec have the same type.
func (MessageCodec[T]) TypeName(any) string {
	var zero T
	return string(zero.ProtoReflect().Descriptor().FullName())
}

func goType(v any) string {
	if m, ok := v.(proto.Message); ok {
		return string(m.ProtoReflect().Descriptor().FullName())
	}
	return fmt.Sprintf("%T", v)
}
