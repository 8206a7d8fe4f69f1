package sections

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
)

//go:embed schemas/*.json
var files embed.FS

// Version of all schemas.
const (
	SchemaMajor = 1
	SchemaMinor = 0
)

// Masked stands where a secret was.
const Masked = "***"

// MaxBytes bounds what is submitted.
const MaxBytes = 1 << 20

// Error says what is wrong with a submitted section.
type Error struct {
	// ID is a stable id: FL-CONFIG-001 and on.
	ID      string
	Section string
	// Path is where, as a JSON pointer; empty for the whole.
	Path string
	// Reason says what is wrong and what is allowed.
	Reason string
}

// Error names section and place.
func (e *Error) Error() string {
	where := e.Section
	if e.Path != "" {
		where += ", " + e.Path
	}
	return e.ID + ": configuration " + where + ": " + e.Reason
}

// Stable ids of errors.
const (
	ErrUnknown   = "FL-CONFIG-001"
	ErrSyntax    = "FL-CONFIG-002"
	ErrValue     = "FL-CONFIG-003"
	ErrVaultPath = "FL-CONFIG-004"
	ErrVersion   = "FL-CONFIG-005"
)

// Explanations tells for each stable id what happened and what to do.
func Explanations() map[string]string {
	return map[string]string{
		ErrUnknown:   "PUT /config named a section that does not exist. The message lists those that do.",
		ErrSyntax:    "The configuration that was submitted is not one JSON object. The message names the byte. HOCON is not taken: write JSON.",
		ErrValue:     "A value of the configuration is not what its schema allows, or a key is unknown. The message names the place and what is allowed there.",
		ErrVaultPath: "The configuration named a secret by vaultPath. Only the crypto worker holds a Vault token, so no other worker could read it: give the secret as encryptedSecret, or by file or environment to the worker that needs it.",
		ErrVersion:   "PUT /config named a schema version that this version of fairlead does not have.",
	}
}

// Names returns the sections, sorted.
func Names() []string {
	var out []string
	entries, err := files.ReadDir("schemas")
	if err != nil {
		return nil // embedded: it is there
	}
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".json"); ok && strings.HasPrefix(name, "corda.") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Schema returns the JSON schema of a section, nil when there is none.
func Schema(section string) []byte {
	if !slices.Contains(Names(), section) {
		return nil
	}
	b, err := files.ReadFile("schemas/" + section + ".json")
	if err != nil {
		return nil
	}
	return b
}

// Checked is a section that was accepted.
type Checked struct {
	// Source is as submitted, secrets masked; Value has the defaults filled in. Both are compact JSON.
	Source, Value string
	// Secret tells that what was submitted holds secrets.
	Secret bool
}

// Check validates a section and fills in the defaults. Its error is an [*Error].
func Check(section, submitted string) (Checked, error) {
	raw := Schema(section)
	if raw == nil {
		return Checked{}, &Error{ErrUnknown, section, "", "there is no such section; there are " + strings.Join(Names(), ", ")}
	}
	value, err := parse(section, submitted)
	if err != nil {
		return Checked{}, err
	}
	if at := find(value, "", "vaultPath"); at != "" {
		return Checked{}, &Error{ErrVaultPath, section, at, "vaultPath is not supported, because only the crypto worker has access to Vault: give encryptedSecret"}
	}
	schema, err := compile(section)
	if err != nil {
		return Checked{}, err
	}
	if err := schema.Validate(value); err != nil {
		return Checked{}, refusal(section, err)
	}
	shape, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return Checked{}, fmt.Errorf("read the schema of %s: %w", section, err)
	}
	out := Checked{Secret: mask(value)}
	if out.Source, err = text(value); err != nil {
		return Checked{}, err
	}
	fill(shape, value)
	out.Value, err = text(value)
	return out, err
}

// Defaults returns a section that nobody changed.
func Defaults(section string) (string, error) {
	c, err := Check(section, "{}")
	return c.Value, err
}

func parse(section, submitted string) (map[string]any, error) {
	if len(submitted) > MaxBytes {
		return nil, &Error{ErrSyntax, section, "", fmt.Sprintf("it has %d bytes, at most %d are allowed", len(submitted), MaxBytes)}
	}
	d := json.NewDecoder(strings.NewReader(submitted))
	d.UseNumber()
	var value map[string]any
	if err := d.Decode(&value); err != nil {
		at := d.InputOffset()
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = syntax.Offset
		}
		return nil, &Error{ErrSyntax, section, "", fmt.Sprintf("a JSON object is expected: at byte %d: %v", at, strings.TrimPrefix(err.Error(), "json: "))}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, &Error{ErrSyntax, section, "", fmt.Sprintf("something follows the JSON object at byte %d", d.InputOffset())}
	}
	if value == nil {
		return nil, &Error{ErrSyntax, section, "", "a JSON object is expected, not null"}
	}
	return value, nil
}

func compile(section string) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	for _, name := range []string{section + ".json", "text-or-secret.json"} {
		b, err := files.ReadFile("schemas/" + name)
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", name, err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			return nil, fmt.Errorf("read schema %s: %w", name, err)
		}
		if err := c.AddResource("https://fairlead.example/"+name, doc); err != nil {
			return nil, fmt.Errorf("read schema %s: %w", name, err)
		}
	}
	s, err := c.Compile("https://fairlead.example/" + section + ".json")
	if err != nil {
		return nil, fmt.Errorf("read schema %s: %w", section, err)
	}
	return s, nil
}

// refusal takes the innermost cause of a failed validation, which names the place.
func refusal(section string, err error) error {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return &Error{ErrValue, section, "", err.Error()}
	}
	for len(v.Causes) > 0 {
		v = v.Causes[0]
	}
	path := ""
	for _, p := range v.InstanceLocation {
		path += "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(p)
	}
	return &Error{ErrValue, section, path, v.ErrorKind.LocalizedString(message.NewPrinter(language.English))}
}

// find returns the place of a key, empty when it is nowhere.
func find(v any, at, key string) string {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k == key {
				return at + "/" + k
			}
			if found := find(v[k], at+"/"+k, key); found != "" {
				return found
			}
		}
	case []any:
		for i, e := range v {
			if found := find(e, fmt.Sprintf("%s/%d", at, i), key); found != "" {
				return found
			}
		}
	}
	return ""
}

// mask hides what is a secret, encrypted ones and plain ones under the names that hold them, and tells whether there was
// any.
func mask(v any) (hidden bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if _, plain := e.(string); plain && secretName(k) {
				v[k], hidden = Masked, true
				continue
			}
			hidden = mask(e) || hidden
		}
	case []any:
		for _, e := range v {
			hidden = mask(e) || hidden
		}
	}
	return hidden
}

func secretName(key string) bool {
	return slices.Contains([]string{"encryptedSecret", "pass", "password", "passphrase", "salt", "clientSecret"}, key)
}

// fill puts the defaults of a schema into an object.
func fill(schema any, value map[string]any) {
	s, _ := schema.(map[string]any)
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		of, _ := p.(map[string]any)
		have, there := value[name]
		if d, ok := of["default"]; ok && !there {
			value[name] = copied(d)
			continue
		}
		if of["type"] != "object" {
			continue
		}
		inner, ok := have.(map[string]any)
		if !ok {
			inner = map[string]any{}
		}
		fill(of, inner)
		if there || len(inner) > 0 {
			value[name] = inner
		}
	}
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = copied(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = copied(e)
		}
		return out
	default:
		return v
	}
}

func text(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode a configuration: %w", err)
	}
	return string(b), nil
}
