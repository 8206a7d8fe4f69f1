package archive

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// CheckName refuses a name that is not a plain relative path: ASCII letters, digits and ._-+ and space between slashes. So
// it means the same file on every system, in every encoding, and cannot leave the folder that it is unpacked into.
func CheckName(name string) error {
	bad := func(why string) error { return fault(BadName, printable(name), "%s", why) }
	switch {
	case name == "":
		return fault(BadName, `""`, "an entry has no name")
	case len(name) > MaxName:
		return fault(BadName, printable(name[:40])+"…", "the name has %d bytes, at most %d are allowed", len(name), MaxName)
	case !utf8.ValidString(name):
		return bad("the name is not UTF-8")
	case strings.Contains(name, `\`):
		return bad("the name has a backslash: folders are separated by /")
	case strings.HasPrefix(name, "/"):
		return bad("the name is an absolute path")
	case strings.HasSuffix(name, "/"):
		return bad("folders have no entries of their own")
	case strings.Contains(name, ":"):
		return bad("the name has a colon, which is a drive or a stream on some systems")
	}
	parts := strings.Split(name, "/")
	if len(parts) > MaxDepth {
		return bad("the name has " + strconv.Itoa(len(parts)) + " parts, at most " + strconv.Itoa(MaxDepth) + " are allowed")
	}
	for _, p := range parts {
		switch {
		case p == "":
			return bad("the name has an empty part")
		case p == "." || p == "..":
			return bad("the name has a part " + p + ", which leads to another folder")
		case strings.HasPrefix(p, " ") || strings.HasSuffix(p, " ") || strings.HasSuffix(p, "."):
			return bad("a part of the name begins or ends with a space, or ends with a dot, which some systems drop")
		}
	}
	for _, r := range name {
		if !allowed(r) {
			return bad("the name has " + strconv.QuoteRune(r) + ": use letters and digits of ASCII, . _ - + and space")
		}
	}
	return nil
}

func allowed(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-+ /", r)
}

// printable returns a name as it can be shown.
func printable(name string) string {
	for _, r := range name {
		if !allowed(r) {
			return strconv.QuoteToASCII(name)
		}
	}
	return name
}

// fold is equal for names that are one file where case does not count. Names are ASCII.
func fold(name string) string { return strings.ToLower(name) }
