package vaultdb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/rows"
)

// Allowed are the statements that a package's migration may have, by their first word.
func Allowed() []string {
	return []string{"ALTER", "COMMENT", "CREATE", "DELETE", "DO", "DROP", "GRANT", "INSERT", "MERGE", "REVOKE", "SELECT", "TRUNCATE", "UPDATE", "WITH"}
}

// StatementError tells that a migration has a statement that it must not have, or cannot be taken apart.
type StatementError struct {
	// Number counts the statements from 1, Line the lines.
	Number, Line int
	Reason       string
}

// Error has the stable id FL-DB-020.
func (e *StatementError) Error() string {
	return fmt.Sprintf("FL-DB-020: statement %d, line %d: %s", e.Number, e.Line, e.Reason)
}

// reservedName says why a token is not a name that a migration may use, empty when it is. What stands in quoted bodies
// is not looked at: [Vaults.Strays] finds what they made.
func reservedName(sql string, i, end int, kind tokenKind) string {
	text := sql[i:end]
	switch {
	case kind == letters && strings.EqualFold(text, "U") && strings.HasPrefix(sql[end:], `&"`):
		return `a name in U&"…" is not allowed in a migration; write its letters`
	case kind == letters, kind == quoted && text[0] == '"':
		if prefix, is := rows.IsReserved(text); is {
			return fmt.Sprintf("%s begins with %s, which is kept for fairlead's own; choose another name", text, prefix)
		}
	}
	return ""
}

// Split takes the SQL of a migration apart and refuses what a migration must not have: statements of other kinds, and
// names that are fairlead's own. Bodies of functions must be quoted ($$ … $$), for a semicolon outside of quotes ends a
// statement.
func Split(sql string) ([]string, error) {
	var out []string
	line, begin := 1, 0
	number := 1
	word := ""
	flush := func(end int) error {
		text := strings.TrimSpace(sql[begin:end])
		defer func() { word = "" }()
		if word == "" {
			return nil // nothing but comments
		}
		if !slices.Contains(Allowed(), word) {
			return &StatementError{number, line, fmt.Sprintf("%s is not allowed in a migration; allowed are %s", word, strings.Join(Allowed(), ", "))}
		}
		out = append(out, text)
		number++
		return nil
	}
	for i := 0; i < len(sql); {
		end, kind := token(sql, i)
		if kind == broken {
			return nil, &StatementError{number, line, "a quote or a comment is not closed"}
		}
		if reason := reservedName(sql, i, end, kind); reason != "" {
			return nil, &StatementError{number, line, reason}
		}
		switch {
		case kind == semicolon:
			if err := flush(i); err != nil {
				return nil, err
			}
			begin = end
		case kind == letters && word == "":
			word = strings.ToUpper(sql[i:end])
		case kind == other && word == "":
			word = sql[i:end]
		case kind == quoted && word == "":
			word = "a quoted text"
		}
		line += strings.Count(sql[i:end], "\n")
		i = end
	}
	if err := flush(len(sql)); err != nil {
		return nil, err
	}
	return out, nil
}

type tokenKind int

const (
	space tokenKind = iota
	letters
	quoted
	semicolon
	other
	broken
)

// token finds the end of the token at i. Comments are space.
func token(s string, i int) (end int, kind tokenKind) {
	rest := s[i:]
	closed := func(n int, k tokenKind) (int, tokenKind) {
		if n < 0 {
			return len(s), broken
		}
		return n, k
	}
	switch c := rest[0]; {
	case c == ';':
		return i + 1, semicolon
	case c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v':
		return i + 1, space
	case strings.HasPrefix(rest, "--"):
		if n := strings.IndexAny(rest, "\r\n"); n >= 0 {
			return i + n, space
		}
		return len(s), space
	case strings.HasPrefix(rest, "/*"):
		return closed(commentEnd(s, i), space)
	case c == '\'':
		return closed(quoteEnd(s, i, '\'', false), quoted)
	case c == '"':
		return closed(quoteEnd(s, i, '"', false), quoted)
	case (c == 'e' || c == 'E') && strings.HasPrefix(rest[1:], "'"):
		return closed(quoteEnd(s, i+1, '\'', true), quoted)
	case c == '$':
		if tag := dollarTag(rest); tag != "" {
			n := strings.Index(rest[len(tag):], tag)
			if n < 0 {
				return len(s), broken
			}
			return i + n + 2*len(tag), quoted
		}
		return i + 1, other
	case isLetter(c):
		n := 1
		for n < len(rest) && (isLetter(rest[n]) || rest[n] >= '0' && rest[n] <= '9' || rest[n] == '$') {
			n++
		}
		return i + n, letters
	default:
		return i + 1, other
	}
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c >= 0x80
}

// commentEnd finds the end of a comment, which may hold others; -1 when there is none.
func commentEnd(s string, i int) int {
	depth := 0
	for i < len(s) {
		switch {
		case strings.HasPrefix(s[i:], "/*"):
			depth++
			i += 2
		case strings.HasPrefix(s[i:], "*/"):
			depth--
			i += 2
			if depth == 0 {
				return i
			}
		default:
			i++
		}
	}
	return -1
}

// quoteEnd finds the end of a quoted text that begins at i; -1 when there is none. A doubled quote is one within.
func quoteEnd(s string, i int, quote byte, escapes bool) int {
	for i++; i < len(s); i++ {
		switch {
		case escapes && s[i] == '\\':
			i++
		case s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return -1
}

// dollarTag returns $tag$ at the start, empty when there is none.
func dollarTag(s string) string {
	for n := 1; n < len(s); n++ {
		switch c := s[n]; {
		case c == '$':
			return s[:n+1]
		case isLetter(c) || n > 1 && c >= '0' && c <= '9':
		default:
			return ""
		}
	}
	return ""
}
