package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/fairleadio/fairlead/internal/spelling"
)

// Key is one setting.
type Key struct {
	// Path is the key as it stands in messages and in --set: kafka.brokers.
	Path string
	// Env is the environment variable: FAIRLEAD_KAFKA_BROKERS.
	Env    string
	Doc    string
	Secret bool

	index []int
}

// Value is a setting with where it came from.
type Value struct {
	Key
	// Text is the value; "***" for a secret that is set.
	Text string
	// Source is default, a file and line, an environment variable, or a flag.
	Source string
}

// Sources are where settings come from, from weak to strong.
type Sources struct {
	// File is the path of a YAML file; empty for none.
	File string
	// Env are lines NAME=value, as [os.Environ] returns them.
	Env []string
	// Set are lines key=value, from flags.
	Set []string
}

// envPrefix begins the names of all environment variables.
const envPrefix = "FAIRLEAD_"

// Keys returns all settings, in the order of the struct.
func Keys() []Key {
	var keys []Key
	walk(reflect.TypeFor[Config](), nil, nil, func(k Key) { keys = append(keys, k) })
	return keys
}

func walk(t reflect.Type, path []string, index []int, visit func(Key)) {
	for f := range fields(t) {
		p, i := append(slices.Clone(path), f.Tag.Get("yaml")), append(slices.Clone(index), f.Index...)
		if f.Type.Kind() == reflect.Struct {
			walk(f.Type, p, i, visit)
			continue
		}
		visit(Key{
			Path: strings.Join(p, "."), Env: envPrefix + strings.ToUpper(strings.Join(p, "_")),
			Doc: f.Tag.Get("doc"), Secret: f.Tag.Get("secret") == "true", index: i,
		})
	}
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// Load reads the sources over the defaults and checks the result. All errors are told at once.
func Load(s Sources) (Config, []Value, error) {
	c := Default()
	keys := Keys()
	from := map[string]string{}
	var errs []error
	put := func(k Key, text, source string) {
		if err := set(reflect.ValueOf(&c).Elem().FieldByIndex(k.index), text); err != nil {
			shown := strconv.Quote(text)
			if k.Secret {
				shown = "the value"
			}
			errs = append(errs, fmt.Errorf("%s (%s): %s %w", k.Path, source, shown, err))
			return
		}
		from[k.Path] = source
	}
	if s.File != "" {
		if err := readFile(s.File, keys, put); err != nil {
			errs = append(errs, err)
		}
	}
	for _, line := range s.Env {
		name, text, _ := strings.Cut(line, "=")
		if i := slices.IndexFunc(keys, func(k Key) bool { return k.Env == name }); i >= 0 {
			put(keys[i], text, name)
		}
	}
	for _, line := range s.Set {
		path, text, ok := strings.Cut(line, "=")
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Path == path })
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("--set %q: key=value is needed", line))
		case i < 0:
			errs = append(errs, unknown(path, "--set", keys))
		default:
			put(keys[i], text, "flag")
		}
	}
	if len(errs) == 0 {
		if err := c.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	return c, values(c, keys, from), errors.Join(errs...)
}

func values(c Config, keys []Key, from map[string]string) []Value {
	var out []Value
	for _, k := range keys {
		v := Value{Key: k, Text: text(reflect.ValueOf(c).FieldByIndex(k.index)), Source: from[k.Path]}
		if v.Source == "" {
			v.Source = "default"
		}
		if k.Secret && v.Text != "" {
			v.Text = "***"
		}
		out = append(out, v)
	}
	return out
}

func unknown(path, source string, keys []Key) error {
	var paths []string
	for _, k := range keys {
		paths = append(paths, k.Path)
	}
	if near := spelling.Near(path, paths, 3); len(near) > 0 {
		return fmt.Errorf("%s: unknown key %s; did you mean %s?", source, path, near[0])
	}
	return fmt.Errorf("%s: unknown key %s", source, path)
}

// readFile walks the YAML tree itself, so that every error has a line.
func readFile(file string, keys []Key, put func(Key, string, string)) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil
		}
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one YAML document", file)
	}
	var errs []error
	var descend func(n *yaml.Node, path string)
	descend = func(n *yaml.Node, path string) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			name, value := n.Content[i], n.Content[i+1]
			p := strings.TrimPrefix(path+"."+name.Value, ".")
			place := fmt.Sprintf("%s:%d", file, name.Line)
			k := slices.IndexFunc(keys, func(k Key) bool { return k.Path == p })
			section := slices.ContainsFunc(keys, func(k Key) bool { return strings.HasPrefix(k.Path, p+".") })
			switch {
			case k >= 0 && value.Kind == yaml.ScalarNode:
				put(keys[k], value.Value, place)
			case k >= 0 && value.Kind == yaml.SequenceNode:
				put(keys[k], joined(value), place)
			case section && value.Kind == yaml.MappingNode:
				descend(value, p)
			case section && value.Tag == "!!null":
			case k >= 0 || section:
				errs = append(errs, fmt.Errorf("%s: %s has the wrong shape", place, p))
			default:
				errs = append(errs, unknown(p, place, keys))
			}
		}
	}
	if len(doc.Content) > 0 && doc.Content[0].Kind != yaml.MappingNode {
		return fmt.Errorf("%s: a mapping of sections is needed, such as kafka: and rest:", file)
	}
	if len(doc.Content) > 0 {
		descend(doc.Content[0], "")
	}
	return errors.Join(errs...)
}

func joined(n *yaml.Node) string {
	var items []string
	for _, c := range n.Content {
		items = append(items, c.Value)
	}
	return strings.Join(items, ",")
}

func set(v reflect.Value, text string) error {
	switch v.Interface().(type) {
	case string:
		v.SetString(text)
	case []string:
		var items []string
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		v.Set(reflect.ValueOf(items))
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return errors.New("is not true or false")
		}
		v.SetBool(b)
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil {
			return errors.New("is not a duration such as 500ms, 20s or 168h")
		}
		v.SetInt(int64(d))
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return errors.New("is not a whole number")
		}
		v.SetInt(n)
	}
	return nil
}

func text(v reflect.Value) string {
	if items, ok := v.Interface().([]string); ok {
		return strings.Join(items, ",")
	}
	return fmt.Sprint(v.Interface())
}

// Print writes all settings with their sources, as YAML that [Load] reads.
func Print(w io.Writer, values []Value) error {
	var b strings.Builder
	section := ""
	for _, v := range values {
		head, name, _ := strings.Cut(v.Path, ".")
		if head != section {
			fmt.Fprintf(&b, "%s:\n", head)
			section = head
		}
		quoted := v.Text
		if quoted == "" || strings.ContainsAny(quoted, ":#*&!|>'\"%@` ,[]{}") {
			quoted = strconv.Quote(quoted)
		}
		fmt.Fprintf(&b, "  %-42s # %s; %s\n", name+": "+quoted, v.Source, v.Doc)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("printing the configuration: %w", err)
	}
	return nil
}
