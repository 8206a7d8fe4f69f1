package cli

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// humanText writes a message on one line for people: times as times, ids as ids, embedded JSON as JSON, enum values
// without their prefix. For programs there is the JSON.
func humanText(m proto.Message) string {
	var b strings.Builder
	humanMessage(&b, m.ProtoReflect())
	return b.String()
}

func humanMessage(b *strings.Builder, m protoreflect.Message) {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	slices.SortFunc(fields, func(x, y protoreflect.FieldDescriptor) int { return int(x.Number() - y.Number()) })
	b.WriteByte('{')
	for i, f := range fields {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(strings.TrimSuffix(string(f.Name()), "_us"))
		b.WriteByte('=')
		v := m.Get(f)
		switch {
		case f.IsMap():
			fmt.Fprintf(b, "(%s)", plural(v.Map().Len(), "entry"))
		case f.IsList():
			b.WriteByte('[')
			for n := range v.List().Len() {
				if n > 0 {
					b.WriteByte(' ')
				}
				humanValue(b, f, v.List().Get(n))
			}
			b.WriteByte(']')
		default:
			humanValue(b, f, v)
		}
	}
	b.WriteByte('}')
}

func humanValue(b *strings.Builder, f protoreflect.FieldDescriptor, v protoreflect.Value) {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		humanMessage(b, v.Message())
	case protoreflect.EnumKind:
		b.WriteString(enumText(f.Enum(), v.Enum()))
	case protoreflect.BytesKind:
		b.WriteString(bytesText(string(f.Name()), v.Bytes()))
	case protoreflect.StringKind:
		b.WriteString(stringText(v.String()))
	case protoreflect.Int64Kind:
		if f.Name() == "duration_us" || f.Name() == "timeout_us" {
			b.WriteString((time.Duration(v.Int()) * time.Microsecond).String())
			return
		}
		if strings.HasSuffix(string(f.Name()), "_us") {
			b.WriteString(time.UnixMicro(v.Int()).UTC().Format("2006-01-02T15:04:05.000000Z"))
			return
		}
		b.WriteString(v.String())
	default:
		b.WriteString(v.String())
	}
}

// stringText leaves quotes out where nothing is gained by them.
func stringText(s string) string {
	if s == "" || strings.ContainsAny(s, " ={}[]\"\n\t") || !utf8.ValidString(s) {
		return strconv.Quote(s)
	}
	return s
}

// enumText is the value's name without the enum's own name before it.
func enumText(e protoreflect.EnumDescriptor, n protoreflect.EnumNumber) string {
	v := e.Values().ByNumber(n)
	if v == nil {
		return strconv.Itoa(int(n))
	}
	name := string(v.Name())
	if zero := e.Values().ByNumber(0); zero != nil {
		name = strings.TrimPrefix(name, strings.TrimSuffix(string(zero.Name()), "UNSPECIFIED"))
	}
	return name
}

// shownHexBytes is how many bytes of something unreadable are shown.
const shownHexBytes = 32

func bytesText(field string, b []byte) string {
	var compact bytes.Buffer
	switch {
	case len(b) > 0 && json.Compact(&compact, b) == nil:
		return compact.String()
	case len(b) == 16 && strings.HasSuffix(field, "id"):
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	case len(b) <= shownHexBytes:
		return hexPrefix + hex.EncodeToString(b)
	default:
		return fmt.Sprintf("%s%s…(%s)", hexPrefix, hex.EncodeToString(b[:shownHexBytes]), plural(len(b), "byte"))
	}
}
