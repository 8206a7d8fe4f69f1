package cpi

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// statement is what a look at an SQL statement tells without parsing it.
type statement struct {
	// verb is its first word.
	verb string
	// parameters are the names that stand in it as :name, each once, in their order.
	parameters []string
}

// scanSQL finds the parameters of a statement. It steps over what PostgreSQL takes as text: quoted strings and names,
// dollar quotes and comments; :: is a cast. More than one statement is refused.
func scanSQL(sql string) (statement, error) {
	var s statement
	for i := 0; i < len(sql); {
		c := sql[i]
		switch {
		case c == '\'' || c == '"':
			escapes := c == '\'' && i > 0 && (sql[i-1] == 'E' || sql[i-1] == 'e') && (i == 1 || !isWord(sql[i-2]))
			end, ok := quoted(sql, i, escapes)
			if !ok {
				return s, errors.New("its SQL has a quote that does not end")
			}
			i = end
		case strings.HasPrefix(sql[i:], "--"):
			n := strings.IndexByte(sql[i:], '\n')
			if n < 0 {
				n = len(sql) - i
			}
			i += n
		case strings.HasPrefix(sql[i:], "/*"):
			end, ok := comment(sql, i)
			if !ok {
				return s, errors.New("its SQL has a comment that does not end")
			}
			i = end
		case c == '$' && (i == 0 || !isWord(sql[i-1])):
			end, ok := dollar(sql, i)
			if !ok {
				return s, fmt.Errorf("its SQL has %s: parameters are written :name, and a dollar quote must end", firstWord(sql[i+1:], "$"))
			}
			i = end
		case c == ';':
			if strings.TrimSpace(sql[i+1:]) != "" {
				return s, errors.New("its SQL has more than one statement")
			}
			return s, errors.New("its SQL ends with a semicolon: leave it out")
		case strings.HasPrefix(sql[i:], "::") || strings.HasPrefix(sql[i:], ":="):
			i += 2
		case c == ':' && i+1 < len(sql) && (isWord(sql[i+1]) && (sql[i+1] < '0' || sql[i+1] > '9')):
			name := word(sql[i+1:])
			if !slices.Contains(s.parameters, name) {
				s.parameters = append(s.parameters, name)
			}
			i += 1 + len(name)
		case isWord(c):
			w := word(sql[i:])
			if s.verb == "" {
				s.verb = w
			}
			i += len(w)
		default:
			i++
		}
	}
	if s.verb == "" {
		return s, errors.New("it has no SQL")
	}
	return s, nil
}

func isWord(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func word(s string) string {
	n := 0
	for n < len(s) && isWord(s[n]) {
		n++
	}
	return s[:n]
}

func firstWord(s, before string) string { return before + word(s) }

// quoted returns where a quoted text that begins at i ends. A doubled quote is part of it.
func quoted(sql string, i int, escapes bool) (end int, ok bool) {
	q := sql[i]
	for j := i + 1; j < len(sql); j++ {
		switch {
		case escapes && sql[j] == '\\':
			j++
		case sql[j] == q && j+1 < len(sql) && sql[j+1] == q:
			j++
		case sql[j] == q:
			return j + 1, true
		}
	}
	return 0, false
}

// comment returns where a comment that begins at i ends; they nest.
func comment(sql string, i int) (end int, ok bool) {
	depth := 0
	for j := i; j+1 < len(sql); {
		switch sql[j : j+2] {
		case "/*":
			depth++
			j += 2
		case "*/":
			depth--
			j += 2
		default:
			j++
		}
		if depth == 0 {
			return j, true
		}
	}
	return 0, false
}

// dollar returns where a dollar quote that begins at i ends.
func dollar(sql string, i int) (end int, ok bool) {
	tag := word(sql[i+1:])
	if tag != "" && tag[0] >= '0' && tag[0] <= '9' || !strings.HasPrefix(sql[i+1+len(tag):], "$") {
		return 0, false
	}
	mark := "$" + tag + "$"
	n := strings.Index(sql[i+len(mark):], mark)
	if n < 0 {
		return 0, false
	}
	return i + len(mark) + n + len(mark), true
}
