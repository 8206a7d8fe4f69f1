package cli

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// filter is one --grep: [!][k:|v:|h:NAME=]REGEXP.
type filter struct {
	negate bool
	// in is k for the key, v for the value, h for a header; empty for any of them.
	in     byte
	header string
	re     *regexp.Regexp
}

func parseFilter(text string) (filter, error) {
	f := filter{}
	rest, negated := strings.CutPrefix(text, "!")
	f.negate = negated
	switch {
	case strings.HasPrefix(rest, "k:"), strings.HasPrefix(rest, "v:"):
		f.in, rest = rest[0], rest[2:]
	case strings.HasPrefix(rest, "h:"):
		name, value, ok := strings.Cut(rest[2:], "=")
		if !ok || name == "" {
			return f, fmt.Errorf("--grep %q: a header is h:NAME=REGEXP", text)
		}
		f.in, f.header, rest = 'h', name, value
	}
	re, err := regexp.Compile(rest)
	if err != nil {
		return f, fmt.Errorf("--grep %q: %w", text, err)
	}
	f.re = re
	return f, nil
}

// match looks at what is shown only: a hidden payload cannot be guessed by asking for it.
func (f filter) match(s shownRecord) bool {
	found := false
	if f.in == 0 || f.in == 'k' {
		found = found || f.re.MatchString(s.Key)
	}
	if (f.in == 0 || f.in == 'v') && s.Hidden == valueShown {
		found = found || f.re.Match(s.Value) || f.re.MatchString(s.text) || f.re.Match(s.Raw)
	}
	if f.in == 0 || f.in == 'h' {
		for name, value := range s.Headers {
			if f.header == "" || f.header == name {
				found = found || f.re.MatchString(value)
			}
		}
	}
	return found != f.negate
}

// filters are all conditions of a tail: every one must hold.
type filters struct {
	key  []byte
	grep []filter
}

func (f filters) matchKey(key []byte) bool { return f.key == nil || bytes.Equal(f.key, key) }

func (f filters) match(s shownRecord) bool {
	for _, g := range f.grep {
		if !g.match(s) {
			return false
		}
	}
	return true
}
