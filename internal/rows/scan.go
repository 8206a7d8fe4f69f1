package rows

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// tokenKind says what a token of SQL is, as far as it matters here.
type tokenKind int

const (
	tokenSpace tokenKind = iota // white space and comments
	tokenWord                   // key words and identifiers without quotes
	tokenName                   // identifiers in quotes
	tokenValue                  // strings and numbers
	tokenParam                  // :name
	tokenOpen                   // ( and [
	tokenClose                  // ) and ]
	tokenColon                  // : that is no parameter, of an array's slice
	tokenOther                  // operators and punctuation
)

// token is a piece of SQL. All tokens of a text, one after the other, are the text.
type token struct {
	kind tokenKind
	text string
}

// scanner cuts SQL into tokens as Postgres does, with standard_conforming_strings on.
type scanner struct {
	sql    string
	at     int
	last   tokenKind // of the token before that is not space
	nested []byte    // the brackets that are open
}

// scan cuts one statement into its tokens. Its errors continue "query x …".
func scan(sql string) ([]token, error) {
	if !utf8.ValidString(sql) || strings.ContainsRune(sql, 0) {
		return nil, fmt.Errorf("is not UTF-8 text")
	}
	s := &scanner{sql: sql, last: tokenOther}
	var out []token
	for s.at < len(sql) {
		from := s.at
		kind, err := s.next()
		if err != nil {
			return nil, fmt.Errorf("%w, at %s", err, place(sql, from))
		}
		if kind != tokenSpace {
			s.last = kind
		}
		out = append(out, token{kind, sql[from:s.at]})
	}
	if n := len(s.nested); n > 0 {
		return nil, fmt.Errorf("leaves %d brackets open; close them", n)
	}
	return out, nil
}

// place says where in a text something is.
func place(sql string, at int) string {
	line := strings.Count(sql[:at], "\n")
	return fmt.Sprintf("line %d, column %d", line+1, utf8.RuneCountInString(sql[strings.LastIndexByte(sql[:at], '\n')+1:at])+1)
}

func (s *scanner) peek(n int) byte {
	if s.at+n < len(s.sql) {
		return s.sql[s.at+n]
	}
	return 0
}

// next moves over one token.
func (s *scanner) next() (tokenKind, error) {
	c := s.sql[s.at]
	switch {
	case isSpace(c):
		for s.at < len(s.sql) && isSpace(s.sql[s.at]) {
			s.at++
		}
		return tokenSpace, nil
	case c == '-' && s.peek(1) == '-':
		s.toLineEnd()
		return tokenSpace, nil
	case c == '/' && s.peek(1) == '*':
		return tokenSpace, s.blockComment()
	case c == '\'':
		return tokenValue, s.str(false)
	case c == '"':
		return tokenName, s.quoted()
	case c == '$':
		return s.dollar()
	case isDigit(c), c == '.' && isDigit(s.peek(1)):
		s.number()
		return tokenValue, nil
	case isWordStart(c):
		return s.word()
	case c == ':':
		return s.colon()
	case c == '(' || c == '[':
		s.at++
		s.nested = append(s.nested, c)
		return tokenOpen, nil
	case c == ')' || c == ']':
		return tokenClose, s.closing(c)
	default:
		s.at++
		return tokenOther, nil
	}
}

func (s *scanner) closing(c byte) error {
	s.at++
	open := byte('(')
	if c == ']' {
		open = '['
	}
	n := len(s.nested)
	if n == 0 || s.nested[n-1] != open {
		return fmt.Errorf("closes a bracket %c that is not open", c)
	}
	s.nested = s.nested[:n-1]
	return nil
}

func (s *scanner) toLineEnd() {
	for s.at < len(s.sql) && s.sql[s.at] != '\n' && s.sql[s.at] != '\r' {
		s.at++
	}
}

// blockComment moves over a comment; comments nest.
func (s *scanner) blockComment() error {
	depth := 0
	for s.at < len(s.sql) {
		switch {
		case s.sql[s.at] == '/' && s.peek(1) == '*':
			depth++
			s.at += 2
		case s.sql[s.at] == '*' && s.peek(1) == '/':
			depth--
			s.at += 2
			if depth == 0 {
				return nil
			}
		default:
			s.at++
		}
	}
	return fmt.Errorf("has a comment that does not end")
}

// str moves over a string from its quote on; escapes says that backslashes escape. A string goes on after white space
// with a line's end, in the same manner.
func (s *scanner) str(escapes bool) error {
	for {
		s.at++ // the quote
		if err := s.strPart(escapes); err != nil {
			return err
		}
		next, ok := s.continuation()
		if !ok {
			return nil
		}
		s.at = next
	}
}

func (s *scanner) strPart(escapes bool) error {
	for s.at < len(s.sql) {
		switch c := s.sql[s.at]; {
		case c == '\\' && escapes:
			s.at += 2
		case c == '\'' && s.peek(1) == '\'':
			s.at += 2
		case c == '\'':
			s.at++
			return nil
		default:
			s.at++
		}
	}
	s.at = min(s.at, len(s.sql))
	return fmt.Errorf("has a string that does not end")
}

// continuation finds the quote with which a string goes on.
func (s *scanner) continuation() (at int, ok bool) {
	newline := false
	for i := s.at; i < len(s.sql); i++ {
		switch c := s.sql[i]; {
		case c == '\n' || c == '\r':
			newline = true
		case isSpace(c):
		case c == '-' && i+1 < len(s.sql) && s.sql[i+1] == '-':
			for i+1 < len(s.sql) && s.sql[i+1] != '\n' && s.sql[i+1] != '\r' {
				i++
			}
		case c == '\'' && newline:
			return i, true
		default:
			return 0, false
		}
	}
	return 0, false
}

func (s *scanner) quoted() error {
	s.at++
	for s.at < len(s.sql) {
		switch {
		case s.sql[s.at] == '"' && s.peek(1) == '"':
			s.at += 2
		case s.sql[s.at] == '"':
			s.at++
			return nil
		default:
			s.at++
		}
	}
	return fmt.Errorf("has a quoted name that does not end")
}

// dollar moves over a string in dollar quotes; a parameter by number is refused.
func (s *scanner) dollar() (tokenKind, error) {
	if isDigit(s.peek(1)) {
		return tokenOther, fmt.Errorf("has a parameter by number; declare it and write :name")
	}
	end := s.at + 1
	for end < len(s.sql) && isWordPart(s.sql[end]) && s.sql[end] != '$' {
		end++
	}
	if end >= len(s.sql) || s.sql[end] != '$' {
		s.at++
		return tokenOther, nil
	}
	tag := s.sql[s.at : end+1]
	length := strings.Index(s.sql[end+1:], tag)
	if length < 0 {
		s.at = len(s.sql)
		return tokenValue, fmt.Errorf("has a string in %s that does not end", tag)
	}
	s.at = end + 1 + length + len(tag)
	return tokenValue, nil
}

func (s *scanner) number() {
	for s.at < len(s.sql) {
		c := s.sql[s.at]
		exponent := (c == '+' || c == '-') && (s.sql[s.at-1] == 'e' || s.sql[s.at-1] == 'E') && isDigit(s.peek(1))
		if !isDigit(c) && c != '.' && !isWordPart(c) && !exponent {
			return
		}
		s.at++
	}
}

// word moves over an identifier or key word, or the string that its letters introduce.
func (s *scanner) word() (tokenKind, error) {
	from := s.at
	for s.at < len(s.sql) && isWordPart(s.sql[s.at]) {
		s.at++
	}
	prefix := strings.ToLower(s.sql[from:s.at])
	switch {
	case s.peek(0) == '\'' && (prefix == "e" || prefix == "n" || prefix == "b" || prefix == "x"):
		return tokenValue, s.str(prefix == "e")
	case prefix == "u" && s.peek(0) == '&' && s.peek(1) == '\'':
		s.at++
		return tokenValue, s.str(false)
	case prefix == "u" && s.peek(0) == '&' && s.peek(1) == '"':
		s.at++
		return tokenName, fmt.Errorf("has a name in U&\"…\"; write its letters")
	}
	return tokenWord, nil
}

// colon tells a parameter from a cast, an assignment, and the middle of an array's slice.
func (s *scanner) colon() (tokenKind, error) {
	switch {
	case s.peek(1) == ':' || s.peek(1) == '=':
		s.at += 2
		return tokenOther, nil
	case s.inSlice() || !isNameStart(s.peek(1)):
		s.at++
		return tokenColon, nil
	}
	s.at++
	for s.at < len(s.sql) && (isNameStart(s.sql[s.at]) || isDigit(s.sql[s.at])) {
		s.at++
	}
	if s.at < len(s.sql) && isWordPart(s.sql[s.at]) {
		return tokenParam, fmt.Errorf("has a parameter whose name is not of letters, digits and _")
	}
	return tokenParam, nil
}

// inSlice tells whether a colon comes after an operand within [ ]: then it parts the bounds of a slice.
func (s *scanner) inSlice() bool {
	n := len(s.nested)
	if n == 0 || s.nested[n-1] != '[' {
		return false
	}
	switch s.last {
	case tokenWord, tokenName, tokenValue, tokenParam, tokenClose:
		return true
	default:
		return false
	}
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isNameStart(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}
func isWordStart(c byte) bool { return isNameStart(c) || c >= 0x80 }
func isWordPart(c byte) bool  { return isWordStart(c) || isDigit(c) || c == '$' }
