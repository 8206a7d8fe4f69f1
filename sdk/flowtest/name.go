package flowtest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// attributes are those that names have, in the order of the canonical form.
var attributes = []string{"CN", "OU", "O", "L", "ST", "C"}

// canonicalName puts a name's attributes into order. Values keep their escapes.
func canonicalName(name string) (string, error) {
	values := map[string]string{}
	for _, part := range splitName(name) {
		key, value, ok := strings.Cut(part, "=")
		key = strings.ToUpper(strings.TrimSpace(key))
		value = strings.TrimSpace(value)
		switch {
		case !ok || value == "":
			return "", fmt.Errorf("%q is not ATTRIBUTE=value, as in O=Alice, L=London, C=GB", part)
		case !strings.Contains(" CN OU O L ST C ", " "+key+" "):
			return "", fmt.Errorf("attribute %q is not one of %v", key, attributes)
		case values[key] != "":
			return "", fmt.Errorf("attribute %s is there twice", key)
		}
		values[key] = value
	}
	if values["O"] == "" || values["L"] == "" || values["C"] == "" {
		return "", errors.New("O, L and C are required, as in O=Alice, L=London, C=GB")
	}
	var out []string
	for _, key := range attributes {
		if values[key] != "" {
			out = append(out, key+"="+values[key])
		}
	}
	return strings.Join(out, ", "), nil
}

// splitName cuts at commas that are not escaped.
func splitName(name string) []string {
	var parts []string
	begin, escaped := 0, false
	for i := range len(name) {
		switch {
		case escaped:
			escaped = false
		case name[i] == '\\':
			escaped = true
		case name[i] == ',':
			parts = append(parts, name[begin:i])
			begin = i + 1
		}
	}
	return append(parts, name[begin:])
}

// shortHash names the virtual node of a member.
func shortHash(name, group string) string {
	sum := sha256.Sum256([]byte(name + group))
	return strings.ToUpper(hex.EncodeToString(sum[:6]))
}
