package appbuild

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/fairleadio/fairlead/internal/spelling"
)

// misshapen tells where the text of a fairlead.yaml has another shape than sourceFile: the line, the key, what is there and
// what is wanted. The library's own errors know no keys and speak of Go's types.
func misshapen(document *yaml.Node) []string {
	var s shapes
	if len(document.Content) > 0 {
		s.check(document.Content[0], reflect.TypeFor[sourceFile](), "")
	}
	return s.wrong
}

type shapes struct{ wrong []string }

func (s *shapes) add(n *yaml.Node, format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf("line %d: ", n.Line)+fmt.Sprintf(format, args...))
}

func (s *shapes) check(n *yaml.Node, t reflect.Type, at string) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return // as if it were left out
	}
	var fits bool
	switch t.Kind() {
	case reflect.Struct:
		if fits = n.Kind == yaml.MappingNode; fits {
			s.members(n, t, at)
		}
	case reflect.Slice:
		if fits = n.Kind == yaml.SequenceNode; fits {
			for i, item := range n.Content {
				s.check(item, t.Elem(), fmt.Sprintf("%s[%d]", at, i))
			}
		}
	case reflect.Bool:
		// The library takes the words of YAML 1.1, too.
		fits = n.Kind == yaml.ScalarNode && (n.Tag == "!!bool" || slices.Contains([]string{"y", "Y", "yes", "on", "n", "N", "no", "off"}, n.Value))
	default: // text: any scalar is taken as it is written
		fits = n.Kind == yaml.ScalarNode
	}
	if !fits {
		if at == "" {
			at = SourceFile
		}
		s.add(n, "%s is %s; wanted is %s", at, given(n), wanted(t))
	}
}

// members looks at the keys of a mapping.
func (s *shapes) members(n *yaml.Node, t reflect.Type, at string) {
	types, known := map[string]reflect.Type{}, []string{}
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		types[name], known = t.Field(i).Type, append(known, name)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			continue
		}
		of, ok := types[key.Value]
		if !ok {
			hint := "known are " + strings.Join(known, ", ")
			if near := spelling.Near(key.Value, known, 2); len(near) > 0 {
				hint = "did you mean " + strings.Join(near, " or ") + "?"
			}
			s.add(key, "there is no key %s here (%s)", key.Value, hint)
			continue
		}
		s.check(value, of, strings.TrimPrefix(at+"."+key.Value, "."))
	}
}

// given says what a node is.
func given(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	default:
		text := []rune(n.Value)
		if len(text) > 40 {
			text = append(text[:40], '…')
		}
		return fmt.Sprintf("the single value %q", string(text))
	}
}

// wanted says what a key takes, with an example.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[[]sourceTable]():
		return "a list of tables, each with name, columns and primary_key"
	case reflect.TypeFor[[]sourceQuery]():
		return "a list of queries, each with name and sql"
	case reflect.TypeFor[[]sourceChannel]():
		return "a list of channels, as [{name: orders, kind: send}]"
	case reflect.TypeFor[[]sourceColumn](), reflect.TypeFor[sourceColumn]():
		return "a list of names with types, as [{name: id, type: uuid}]"
	case reflect.TypeFor[[]string]():
		return "a list of names, as [id]"
	}
	switch t.Kind() {
	case reflect.Struct:
		return "a mapping of keys to values, as name: pay"
	case reflect.Bool:
		return "true or false"
	default:
		return "text"
	}
}
