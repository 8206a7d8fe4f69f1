package schemas

import (
	"fmt"
	"sort"

	"google.golang.org/protobuf/types/descriptorpb"
)

// Incompatibilities lists, sorted, what a newer descriptor set changed that makes records of the older one unreadable
// or read differently: messages, fields, enums and enum values that are gone or have another name, number, type,
// cardinality or oneof, and numbers used again that the older set had reserved. Empty means that records of the older
// version stay readable.
func Incompatibilities(older, newer *descriptorpb.FileDescriptorSet) []string {
	c := comparison{}
	before, after := indexOf(older), indexOf(newer)
	for name, m := range before.messages {
		if n, ok := after.messages[name]; ok {
			c.message(name, m, n)
		} else {
			c.add("message %s is gone", name)
		}
	}
	for name, e := range before.enums {
		if n, ok := after.enums[name]; ok {
			c.enum(name, e, n)
		} else {
			c.add("enum %s is gone", name)
		}
	}
	sort.Strings(c.problems)
	return c.problems
}

type comparison struct{ problems []string }

func (c *comparison) add(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

func (c *comparison) message(name string, older, newer *descriptorpb.DescriptorProto) {
	fields, byName := map[int32]*descriptorpb.FieldDescriptorProto{}, map[string]int32{}
	for _, f := range newer.GetField() {
		fields[f.GetNumber()] = f
		byName[f.GetName()] = f.GetNumber()
	}
	for _, f := range older.GetField() {
		n, ok := fields[f.GetNumber()]
		if number, moved := byName[f.GetName()]; moved && number != f.GetNumber() {
			c.add("%s.%s had number %d, now %d", name, f.GetName(), f.GetNumber(), number)
		} else if !ok {
			c.add("%s.%s (number %d) is gone", name, f.GetName(), f.GetNumber())
		}
		if ok {
			c.field(name, older, newer, f, n)
		}
	}
	had := map[int32]bool{}
	for _, f := range older.GetField() {
		had[f.GetNumber()] = true
	}
	for _, f := range newer.GetField() {
		if !had[f.GetNumber()] && reserved(older, f.GetNumber()) {
			c.add("%s.%s takes number %d, which was reserved", name, f.GetName(), f.GetNumber())
		}
	}
}

func (c *comparison) field(in string, om, nm *descriptorpb.DescriptorProto, o, n *descriptorpb.FieldDescriptorProto) {
	at := fmt.Sprintf("%s.%s (number %d)", in, o.GetName(), o.GetNumber())
	if o.GetName() != n.GetName() {
		c.add("%s is now called %s", at, n.GetName())
	}
	if a, b := typeText(o), typeText(n); a != b {
		c.add("%s was %s, now %s", at, a, b)
	}
	if a, b := oneofOf(om, o), oneofOf(nm, n); a != b {
		c.add("%s was in oneof %q, now in %q", at, a, b)
	}
}

func typeText(f *descriptorpb.FieldDescriptorProto) string {
	text := f.GetType().String()
	if n := f.GetTypeName(); n != "" {
		text = n
	}
	if f.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED {
		return "repeated " + text
	}
	if f.GetProto3Optional() {
		return "optional " + text
	}
	return text
}

func oneofOf(m *descriptorpb.DescriptorProto, f *descriptorpb.FieldDescriptorProto) string {
	if f.OneofIndex == nil || f.GetProto3Optional() {
		return ""
	}
	return m.GetOneofDecl()[f.GetOneofIndex()].GetName()
}

func reserved(m *descriptorpb.DescriptorProto, number int32) bool {
	for _, r := range m.GetReservedRange() {
		if number >= r.GetStart() && number < r.GetEnd() {
			return true
		}
	}
	return false
}

func (c *comparison) enum(name string, older, newer *descriptorpb.EnumDescriptorProto) {
	values := map[int32]string{}
	for _, v := range newer.GetValue() {
		values[v.GetNumber()] = v.GetName()
	}
	for _, v := range older.GetValue() {
		switch now, ok := values[v.GetNumber()]; {
		case !ok:
			c.add("value %s of enum %s (number %d) is gone", v.GetName(), name, v.GetNumber())
		case now != v.GetName():
			c.add("value %s of enum %s (number %d) is now called %s", v.GetName(), name, v.GetNumber(), now)
		}
	}
}

type index struct {
	messages map[string]*descriptorpb.DescriptorProto
	enums    map[string]*descriptorpb.EnumDescriptorProto
}

func indexOf(set *descriptorpb.FileDescriptorSet) index {
	x := index{map[string]*descriptorpb.DescriptorProto{}, map[string]*descriptorpb.EnumDescriptorProto{}}
	for _, f := range set.GetFile() {
		for _, e := range f.GetEnumType() {
			x.enums[f.GetPackage()+"."+e.GetName()] = e
		}
		x.addMessages(f.GetPackage(), f.GetMessageType())
	}
	return x
}

func (x index) addMessages(scope string, list []*descriptorpb.DescriptorProto) {
	for _, m := range list {
		name := scope + "." + m.GetName()
		x.messages[name] = m
		for _, e := range m.GetEnumType() {
			x.enums[name+"."+e.GetName()] = e
		}
		x.addMessages(name, m.GetNestedType())
	}
}
