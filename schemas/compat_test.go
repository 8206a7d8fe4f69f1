package schemas_test

import (
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fairleadio/fairlead/schemas"
)

func TestIncompatibilities(t *testing.T) {
	type (
		message = descriptorpb.DescriptorProto
		field   = descriptorpb.FieldDescriptorProto
	)
	num := func(name string, number int32, typ descriptorpb.FieldDescriptorProto_Type) *field {
		return &field{Name: &name, Number: &number, Type: typ.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
	}
	base := func() *descriptorpb.FileDescriptorSet {
		inOneof := num("choice", 3, descriptorpb.FieldDescriptorProto_TYPE_STRING)
		inOneof.OneofIndex = proto.Int32(0)
		return &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{{
			Name: proto.String("a.proto"), Package: proto.String("a.v1"), Syntax: proto.String("proto3"),
			MessageType: []*message{{
				Name:          proto.String("M"),
				Field:         []*field{num("x", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING), num("y", 2, descriptorpb.FieldDescriptorProto_TYPE_INT64), inOneof},
				OneofDecl:     []*descriptorpb.OneofDescriptorProto{{Name: proto.String("pick")}},
				NestedType:    []*message{{Name: proto.String("N"), Field: []*field{num("z", 1, descriptorpb.FieldDescriptorProto_TYPE_BOOL)}}},
				ReservedRange: []*descriptorpb.DescriptorProto_ReservedRange{{Start: proto.Int32(9), End: proto.Int32(10)}},
			}},
			EnumType: []*descriptorpb.EnumDescriptorProto{{
				Name:  proto.String("E"),
				Value: []*descriptorpb.EnumValueDescriptorProto{{Name: proto.String("E_A"), Number: proto.Int32(0)}, {Name: proto.String("E_B"), Number: proto.Int32(1)}},
			}},
		}}}
	}
	m := func(s *descriptorpb.FileDescriptorSet) *message { return s.File[0].MessageType[0] }
	for name, c := range map[string]struct {
		change func(*descriptorpb.FileDescriptorSet)
		want   []string
	}{
		"nothing": {func(*descriptorpb.FileDescriptorSet) {}, nil},
		"additions": {func(s *descriptorpb.FileDescriptorSet) {
			m(s).Field = append(m(s).Field, num("new", 4, descriptorpb.FieldDescriptorProto_TYPE_BYTES))
			s.File[0].EnumType[0].Value = append(s.File[0].EnumType[0].Value, &descriptorpb.EnumValueDescriptorProto{Name: proto.String("E_C"), Number: proto.Int32(2)})
			s.File[0].MessageType = append(s.File[0].MessageType, &message{Name: proto.String("O")})
		}, nil},
		"removed field": {func(s *descriptorpb.FileDescriptorSet) { m(s).Field = m(s).Field[1:] }, []string{"a.v1.M.x (number 1) is gone"}},
		"renumbered":    {func(s *descriptorpb.FileDescriptorSet) { m(s).Field[0].Number = proto.Int32(7) }, []string{"a.v1.M.x had number 1, now 7"}},
		"retyped": {func(s *descriptorpb.FileDescriptorSet) {
			m(s).Field[1] = num("y", 2, descriptorpb.FieldDescriptorProto_TYPE_STRING)
		}, []string{"a.v1.M.y (number 2) was TYPE_INT64, now TYPE_STRING"}},
		"renamed": {func(s *descriptorpb.FileDescriptorSet) { m(s).Field[0].Name = proto.String("w") }, []string{"a.v1.M.x (number 1) is now called w"}},
		"repeated": {func(s *descriptorpb.FileDescriptorSet) {
			m(s).Field[0].Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
		}, []string{"a.v1.M.x (number 1) was TYPE_STRING, now repeated TYPE_STRING"}},
		"out of oneof": {func(s *descriptorpb.FileDescriptorSet) { m(s).Field[2].OneofIndex = nil }, []string{`a.v1.M.choice (number 3) was in oneof "pick", now in ""`}},
		"reserved number": {func(s *descriptorpb.FileDescriptorSet) {
			m(s).Field = append(m(s).Field, num("n", 9, descriptorpb.FieldDescriptorProto_TYPE_BOOL))
		}, []string{"a.v1.M.n takes number 9, which was reserved"}},
		"nested gone":     {func(s *descriptorpb.FileDescriptorSet) { m(s).NestedType = nil }, []string{"message a.v1.M.N is gone"}},
		"nested field":    {func(s *descriptorpb.FileDescriptorSet) { m(s).NestedType[0].Field = nil }, []string{"a.v1.M.N.z (number 1) is gone"}},
		"enum gone":       {func(s *descriptorpb.FileDescriptorSet) { s.File[0].EnumType = nil }, []string{"enum a.v1.E is gone"}},
		"enum value gone": {func(s *descriptorpb.FileDescriptorSet) { s.File[0].EnumType[0].Value = s.File[0].EnumType[0].Value[:1] }, []string{"value E_B of enum a.v1.E (number 1) is gone"}},
		"enum value renamed": {func(s *descriptorpb.FileDescriptorSet) { s.File[0].EnumType[0].Value[1].Name = proto.String("E_Z") },
			[]string{"value E_B of enum a.v1.E (number 1) is now called E_Z"}},
	} {
		t.Run(name, func(t *testing.T) {
			changed := base()
			c.change(changed)
			if got := schemas.Incompatibilities(base(), changed); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
