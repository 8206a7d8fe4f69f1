package schemas

import (
	"fmt"
	"sort"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
)

// SetTypeName is the message type of the records on topic fairlead.schemas.
const SetTypeName = "google.protobuf.FileDescriptorSet"

// FileDescriptorSet returns the descriptors of all of fairlead's .proto files of this version. The caller owns it.
func FileDescriptorSet() (*descriptorpb.FileDescriptorSet, error) {
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal([]byte(descriptorSet), set); err != nil {
		return nil, fmt.Errorf("read the built-in descriptor set (run buf generate in schemas): %w", err)
	}
	return set, nil
}

// Names returns the full names of all messages of a set, nested ones too, sorted.
func Names(set *descriptorpb.FileDescriptorSet) []string {
	var names []string
	for _, f := range set.GetFile() {
		names = appendNames(names, f.GetPackage(), f.GetMessageType())
	}
	sort.Strings(names)
	return names
}

func appendNames(names []string, scope string, messages []*descriptorpb.DescriptorProto) []string {
	for _, m := range messages {
		full := scope + "." + m.GetName()
		if !m.GetOptions().GetMapEntry() {
			names = append(names, full)
		}
		names = appendNames(names, full, m.GetNestedType())
	}
	return names
}

// PerType cuts a set into one set for each top-level message: the file that declares it and all that the file imports,
// imports first. These are the records of topic fairlead.schemas, keyed by the message's full name: a reader needs one
// record to decode one type.
func PerType(set *descriptorpb.FileDescriptorSet) (map[string]*descriptorpb.FileDescriptorSet, error) {
	files := map[string]*descriptorpb.FileDescriptorProto{}
	for _, f := range set.GetFile() {
		files[f.GetName()] = f
	}
	out := map[string]*descriptorpb.FileDescriptorSet{}
	for _, f := range set.GetFile() {
		own := &descriptorpb.FileDescriptorSet{}
		if err := collect(files, f.GetName(), own, map[string]bool{}); err != nil {
			return nil, err
		}
		for _, m := range f.GetMessageType() {
			out[f.GetPackage()+"."+m.GetName()] = own
		}
	}
	return out, nil
}

func collect(files map[string]*descriptorpb.FileDescriptorProto, name string, into *descriptorpb.FileDescriptorSet, seen map[string]bool) error {
	if seen[name] {
		return nil
	}
	seen[name] = true
	f, ok := files[name]
	if !ok {
		return fmt.Errorf("descriptor set lacks the imported file %s", name)
	}
	for _, dep := range f.GetDependency() {
		if err := collect(files, dep, into, seen); err != nil {
			return err
		}
	}
	into.File = append(into.File, f)
	return nil
}

// Merge joins sets that may repeat files; the first of a name wins.
func Merge(sets ...*descriptorpb.FileDescriptorSet) *descriptorpb.FileDescriptorSet {
	out, seen := &descriptorpb.FileDescriptorSet{}, map[string]bool{}
	for _, set := range sets {
		for _, f := range set.GetFile() {
			if !seen[f.GetName()] {
				seen[f.GetName()] = true
				out.File = append(out.File, f)
			}
		}
	}
	return out
}

// messages indexes the messages of a set by full name.
func messages(set *descriptorpb.FileDescriptorSet) (map[string]protoreflect.MessageDescriptor, error) {
	files, err := protodesc.NewFiles(set)
	if err != nil {
		return nil, fmt.Errorf("descriptor set: %w", err)
	}
	out := map[string]protoreflect.MessageDescriptor{}
	files.RangeFiles(func(f protoreflect.FileDescriptor) bool {
		indexMessages(out, f.Messages())
		return true
	})
	return out, nil
}

func indexMessages(out map[string]protoreflect.MessageDescriptor, list protoreflect.MessageDescriptors) {
	for i := range list.Len() {
		m := list.Get(i)
		out[string(m.FullName())] = m
		indexMessages(out, m.Messages())
	}
}
