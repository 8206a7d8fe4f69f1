package schemas

import (
	"bytes"
	"encoding/json"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// Decoder turns the bytes of any record into a message by the name in its header fl-type. It does not change and may
// be used from any goroutine.
type Decoder struct {
	types map[string]protoreflect.MessageDescriptor
}

// NewDecoder knows the messages of a descriptor set, such as one read from topic fairlead.schemas, whatever version of
// fairlead wrote it.
func NewDecoder(set *descriptorpb.FileDescriptorSet) (*Decoder, error) {
	types, err := messages(set)
	if err != nil {
		return nil, err
	}
	types[SetTypeName] = (*descriptorpb.FileDescriptorSet)(nil).ProtoReflect().Descriptor()
	return &Decoder{types: types}, nil
}

// BuiltinDecoder knows the messages of this version of fairlead.
func BuiltinDecoder() (*Decoder, error) {
	set, err := FileDescriptorSet()
	if err != nil {
		return nil, err
	}
	return NewDecoder(set)
}

// Knows tells whether a message type can be decoded.
func (d *Decoder) Knows(typeName string) bool { return d.types[typeName] != nil }

// Decode decodes a record by its message name. A name that the set lacks is an [UnknownTypeError], bytes that are no
// such message a [DecodeError].
func (d *Decoder) Decode(typeName string, data []byte) (proto.Message, error) {
	desc, ok := d.types[typeName]
	if !ok {
		return nil, &UnknownTypeError{Type: typeName}
	}
	m := dynamicpb.NewMessage(desc)
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, &DecodeError{Type: typeName, Err: err}
	}
	return m, nil
}

// JSON decodes a record to one line of JSON with the .proto files' field names. The same record is always the same
// text.
func (d *Decoder) JSON(typeName string, data []byte) ([]byte, error) {
	m, err := d.Decode(typeName, data)
	if err != nil {
		return nil, err
	}
	loose, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, &DecodeError{Type: typeName, Err: err}
	}
	// protojson varies its white space on purpose.
	var out bytes.Buffer
	if err := json.Compact(&out, loose); err != nil {
		return nil, fmt.Errorf("decode %s: %w", typeName, err)
	}
	return out.Bytes(), nil
}
