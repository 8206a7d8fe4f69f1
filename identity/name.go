package identity

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Greatest lengths of the attributes, in characters.
const (
	MaxCommonName         = 64
	MaxOrganizationalUnit = 64
	MaxOrganization       = 128
	MaxLocality           = 64
	MaxState              = 64
)

// Name is an X.500 name with the attributes that members of an application network use. O, L and C are required;
// C is an ISO 3166 code of two upper-case letters, or ZZ where there is none.
type Name struct {
	CommonName         string // CN
	OrganizationalUnit string // OU
	Organization       string // O
	Locality           string // L
	State              string // ST
	Country            string // C
}

// attribute joins an attribute type with its place in a Name. The order of attributes is the canonical order.
type attribute struct {
	key      string
	required bool
	max      int
	value    func(*Name) *string
}

func attributes() [6]attribute {
	return [6]attribute{
		{"CN", false, MaxCommonName, func(n *Name) *string { return &n.CommonName }},
		{"OU", false, MaxOrganizationalUnit, func(n *Name) *string { return &n.OrganizationalUnit }},
		{"O", true, MaxOrganization, func(n *Name) *string { return &n.Organization }},
		{"L", true, MaxLocality, func(n *Name) *string { return &n.Locality }},
		{"ST", false, MaxState, func(n *Name) *string { return &n.State }},
		{"C", true, 2, func(n *Name) *string { return &n.Country }},
	}
}

// NameError tells what is wrong with an X.500 name and what to do about it.
type NameError struct {
	// Name as it was given, cut to 256 bytes.
	Name string
	// Reason names the attribute and the remedy.
	Reason string
}

func (e *NameError) Error() string {
	return fmt.Sprintf("X.500 name %q: %s (a right one: O=Alice, L=London, C=GB)", e.Name, e.Reason)
}

// ParseName reads a name such as "O=Alice, L=London, C=GB": attributes in any order and case, separated by commas
// or semicolons, values escaped or quoted as in RFC 2253. The error is a *NameError.
func ParseName(s string) (Name, error) {
	fail := func(format string, args ...any) (Name, error) {
		if len(s) > 256 {
			s = strings.ToValidUTF8(s[:256], "") + "…"
		}
		return Name{}, &NameError{Name: s, Reason: fmt.Sprintf(format, args...)}
	}
	if !utf8.ValidString(s) {
		return fail("it is not UTF-8")
	}
	if strings.TrimFunc(s, isSpace) == "" {
		return fail("it is empty; give at least O, L and C")
	}
	var n Name
	seen := map[string]bool{}
	for rest, more := s, true; more; {
		var key, value string
		var err error
		key, value, rest, more, err = nextAttribute(rest)
		if err != nil {
			return fail("%v", err)
		}
		known := false
		for _, a := range attributes() {
			if a.key != key {
				continue
			}
			known = true
			if seen[key] {
				return fail("attribute %s is given twice", key)
			}
			seen[key] = true
			if value == "" {
				return fail("attribute %s is empty; leave it out or give it a value", key)
			}
			*a.value(&n) = value
		}
		if !known {
			return fail("attribute %q is not one of CN, OU, O, L, ST, C", key)
		}
	}
	if reason := n.reason(); reason != "" {
		return fail("%s", reason)
	}
	return n, nil
}

// Validate tells whether the name may be used: required attributes, lengths, country, characters. The error is a
// *NameError.
func (n Name) Validate() error {
	if reason := n.reason(); reason != "" {
		return &NameError{Name: n.String(), Reason: reason}
	}
	return nil
}

func (n Name) reason() string {
	for _, a := range attributes() {
		v := *a.value(&n)
		switch {
		case v == "" && a.required:
			return fmt.Sprintf("attribute %s is missing; O, L and C are required", a.key)
		case v == "":
			continue
		case !utf8.ValidString(v):
			return fmt.Sprintf("attribute %s is not UTF-8", a.key)
		case strings.TrimSpace(v) == "":
			return fmt.Sprintf("attribute %s is blank", a.key)
		case strings.ContainsFunc(v, unicode.IsControl):
			return fmt.Sprintf("attribute %s contains a control character; take it out", a.key)
		case a.key == "C" && !isCountry(v):
			return fmt.Sprintf("attribute C is %q; use the upper-case ISO 3166 code of two letters, such as GB", v)
		case utf8.RuneCountInString(v) > a.max:
			return fmt.Sprintf("attribute %s has %d characters, at most %d are allowed", a.key, utf8.RuneCountInString(v), a.max)
		}
	}
	return ""
}

// String is the canonical form: CN, OU, O, L, ST, C, those present, as K=V joined by ", ", escaped as in RFC 2253.
func (n Name) String() string {
	var b strings.Builder
	for _, a := range attributes() {
		v := *a.value(&n)
		if v == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(a.key)
		b.WriteByte('=')
		escape(&b, v)
	}
	return b.String()
}

// Canonical is ParseName followed by String.
func Canonical(s string) (string, error) {
	n, err := ParseName(s)
	if err != nil {
		return "", err
	}
	return n.String(), nil
}

func escape(b *strings.Builder, v string) {
	for i, r := range v {
		switch {
		case strings.ContainsRune(`,+"\<>;`, r),
			r == '#' && i == 0,
			r == ' ' && (i == 0 || i == len(v)-1):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
}

// isSpace is what may stand around separators.
func isSpace(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' }

// nextAttribute takes one K=V off the front of s; more tells that a separator followed it.
func nextAttribute(s string) (key, value, rest string, more bool, err error) {
	eq := strings.IndexByte(s, '=')
	if eq < 0 {
		return "", "", "", false, fmt.Errorf("%q is not of the form K=V", cut(strings.TrimFunc(s, isSpace)))
	}
	key = strings.ToUpper(strings.TrimFunc(s[:eq], isSpace))
	s = strings.TrimLeftFunc(s[eq+1:], isSpace)
	if strings.HasPrefix(s, "#") {
		return "", "", "", false, fmt.Errorf("attribute %s is in hexadecimal BER; write it as text (a leading # as \\#)", cut(key))
	}
	if strings.HasPrefix(s, `"`) {
		value, s, err = quoted(s[1:])
	} else {
		value, s, err = unquoted(s)
	}
	if err != nil {
		return "", "", "", false, fmt.Errorf("attribute %s: %w", cut(key), err)
	}
	if !utf8.ValidString(value) {
		return "", "", "", false, fmt.Errorf("attribute %s: its escapes do not make UTF-8", cut(key))
	}
	switch {
	case s == "":
		return key, value, "", false, nil
	case s[0] == ',' || s[0] == ';':
		return key, value, s[1:], true, nil
	case s[0] == '+':
		return "", "", "", false, fmt.Errorf("attribute %s is joined to another by +; give each on its own (a + in a value as \\+)", cut(key))
	default:
		return "", "", "", false, fmt.Errorf("attribute %s: text after the closing quote", cut(key))
	}
}

// unquoted reads up to a separator that is not escaped; spaces around the value do not belong to it, escaped ones do.
func unquoted(s string) (value, rest string, err error) {
	var b strings.Builder
	kept := 0 // length of the value up to its last character that is not an unescaped space
	for s != "" {
		c := s[0]
		switch {
		case c == ',' || c == ';' || c == '+':
			return b.String()[:kept], s, nil
		case c == '\\':
			n, err := unescape(&b, s)
			if err != nil {
				return "", "", err
			}
			s = s[n:]
			kept = b.Len()
			continue
		case c == '"' || c == '<' || c == '>':
			return "", "", fmt.Errorf("%q must be written as \\%c", c, c)
		}
		b.WriteByte(c)
		if !isSpace(rune(c)) {
			kept = b.Len()
		}
		s = s[1:]
	}
	return b.String()[:kept], "", nil
}

// quoted reads a value up to its closing quote and the spaces after it.
func quoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for s != "" {
		switch s[0] {
		case '"':
			return b.String(), strings.TrimLeftFunc(s[1:], isSpace), nil
		case '\\':
			n, err := unescape(&b, s)
			if err != nil {
				return "", "", err
			}
			s = s[n:]
		default:
			b.WriteByte(s[0])
			s = s[1:]
		}
	}
	return "", "", fmt.Errorf("the closing quote is missing")
}

// unescape reads one escape at the front of s and returns its length.
func unescape(b *strings.Builder, s string) (int, error) {
	if len(s) < 2 {
		return 0, fmt.Errorf("a backslash at the end escapes nothing")
	}
	if strings.IndexByte(`,+"\<>;#= `, s[1]) >= 0 {
		b.WriteByte(s[1])
		return 2, nil
	}
	if len(s) >= 3 {
		hi, ok1 := hexDigit(s[1])
		lo, ok2 := hexDigit(s[2])
		if ok1 && ok2 {
			b.WriteByte(hi<<4 | lo)
			return 3, nil
		}
	}
	return 0, fmt.Errorf("a backslash must stand before one of , + \" \\ < > ; # = space, or two hexadecimal digits")
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// cut bounds what an error message repeats of its input.
func cut(s string) string {
	if len(s) <= 64 {
		return s
	}
	return strings.ToValidUTF8(s[:64], "") + "…"
}
