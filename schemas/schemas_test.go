package schemas_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/fairleadio/fairlead/schemas"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/feed/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	_ "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

func builtin(t *testing.T) *descriptorpb.FileDescriptorSet {
	t.Helper()
	set, err := schemas.FileDescriptorSet()
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// The set of the last release: records of every release since stay readable.
func TestCompatibleWithTheBaseline(t *testing.T) {
	raw, err := os.ReadFile("baseline.binpb")
	if err != nil {
		t.Fatal(err)
	}
	baseline := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(raw, baseline); err != nil {
		t.Fatal(err)
	}
	for _, p := range schemas.Incompatibilities(baseline, builtin(t)) {
		t.Error(p)
	}
}

// The descriptor set and the generated Go code come from the same run of buf generate.
func TestDescriptorSetEqualsGeneratedCode(t *testing.T) {
	inSet := map[string]*descriptorpb.FileDescriptorProto{}
	for _, f := range builtin(t).GetFile() {
		inSet[f.GetName()] = f
	}
	linked := 0
	protoregistry.GlobalFiles.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		if !strings.HasPrefix(f.Path(), "fairlead/") {
			return true
		}
		linked++
		if got := protodesc.ToFileDescriptorProto(f); !proto.Equal(got, inSet[f.Path()]) {
			t.Errorf("%s: the generated code and the descriptor set differ: run buf generate in schemas", f.Path())
		}
		return true
	})
	// All but the engine's rows, whose code lies with the engine.
	if want := len(inSet) - 1; linked != want {
		t.Errorf("%d of %d generated files are linked into this test: import the new one", linked, want)
	}
}

func TestDecodeAnyRecord(t *testing.T) {
	d, err := schemas.BuiltinDecoder()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := schemas.Marshal(sampleStatus())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"vnode":"A1B2C3D4E5F6","client_request_id":"r1","flow_class":"net.example.Pay",` +
		`"state":"FLOW_STATE_FAILED","error":{"type":"T","message":"m","id":"FL-FLOW-004"},"created_at_us":"1700000000000000"}`
	if got, err := d.JSON("fairlead.flow.v1.FlowStatus", raw); err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := d.JSON("fairlead.flow.v1.Checkpoint", []byte{0xff}); !errors.As(err, new(*schemas.DecodeError)) {
		t.Errorf("bad bytes: %v", err)
	}
	for _, name := range []string{"", "fairlead.flow.v1.Nothing"} {
		var unknown *schemas.UnknownTypeError
		if _, err := d.Decode(name, raw); !errors.As(err, &unknown) || unknown.Type != name {
			t.Errorf("type %q: %v", name, err)
		}
	}
	for _, name := range []string{"fairlead.engine.v1.TimerRow", "fairlead.flow.v1.FlowTimer.Due", schemas.SetTypeName} {
		if !d.Knows(name) {
			t.Errorf("%s is not known", name)
		}
	}
}

// A tool reads a record of a newer version through that version's published descriptors.
func TestDecodeNewerRecord(t *testing.T) {
	newer := proto.Clone(builtin(t)).(*descriptorpb.FileDescriptorSet)
	for _, f := range newer.GetFile() {
		for _, m := range f.GetMessageType() {
			if f.GetPackage() == "fairlead.flow.v1" && m.GetName() == "FlowError" {
				m.Field = append(m.Field, &descriptorpb.FieldDescriptorProto{
					Name: proto.String("advice"), Number: proto.Int32(4), JsonName: proto.String("advice"),
					Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(), Type: descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum(),
				})
			}
		}
	}
	published, err := schemas.PerType(newer)
	if err != nil {
		t.Fatal(err)
	}
	// What the topic has under this key is enough, even after a trip through bytes.
	raw, err := schemas.Marshal(published["fairlead.flow.v1.FlowStatus"])
	if err != nil {
		t.Fatal(err)
	}
	own := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(raw, own); err != nil {
		t.Fatal(err)
	}
	d, err := schemas.NewDecoder(own)
	if err != nil {
		t.Fatal(err)
	}
	status := &flowv1.FlowError{Type: "T"}
	status.ProtoReflect().SetUnknown(protoreflect.RawFields{4<<3 | 2, 2, 'o', 'k'})
	record, err := schemas.Marshal(&flowv1.FlowStatus{Error: status})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.JSON("fairlead.flow.v1.FlowStatus", record); err != nil || string(got) != `{"error":{"type":"T","advice":"ok"}}` {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestPerTypeCoversEveryTopLevelMessage(t *testing.T) {
	set := builtin(t)
	per, err := schemas.PerType(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range set.GetFile() {
		for _, m := range f.GetMessageType() {
			name := f.GetPackage() + "." + m.GetName()
			d, err := schemas.NewDecoder(per[name])
			if err != nil || !d.Knows(name) {
				t.Errorf("%s cannot be decoded from its own record: %v", name, err)
			}
		}
	}
	for _, f := range set.GetFile() {
		if f.GetPackage() != "fairlead.flow.v1" || len(f.GetDependency()) == 0 {
			continue
		}
		alone := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{f}}
		if _, err := schemas.PerType(alone); err == nil || !strings.Contains(err.Error(), "imported file fairlead/") {
			t.Errorf("a set without its imports: %v", err)
		}
	}
	if got := schemas.Names(schemas.Merge(set, set)); !slices.Equal(got, schemas.Names(set)) {
		t.Error("merging a set with itself changed it")
	}
}
