package rows

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// show writes the tokens of SQL with parameters in braces and strings in angles.
func showTokens(sql string) string {
	tokens, err := scan(sql)
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, t := range tokens {
		switch t.kind {
		case tokenParam:
			b.WriteString("{" + t.text + "}")
		case tokenValue:
			b.WriteString("<" + t.text + ">")
		case tokenSpace:
			b.WriteString(" ")
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}

func TestScan(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT :a":                             "SELECT {:a}",
		"SELECT a::text, :b::int, ':c', :d":     "SELECT a::text, {:b}::int, <':c'>, {:d}",
		"SELECT 'it''s :a' || :b":               "SELECT <'it''s :a'> || {:b}",
		`SELECT E'it\'s :a' || :b`:              `SELECT <E'it\'s :a'> || {:b}`,
		`SELECT 'back\' || :b`:                  `SELECT <'back\'> || {:b}`,
		"SELECT 'a'\n'b :c' || :d":              "SELECT <'a'\n'b :c'> || {:d}",
		"SELECT E'a'\n -- x\n'b\\' :c' || :d":   "SELECT <E'a'\n -- x\n'b\\' :c'> || {:d}",
		"SELECT 'a' 'b'":                        "SELECT <'a'> <'b'>",
		`SELECT ":a" || "x"":b"`:                `SELECT ":a" || "x"":b"`,
		"SELECT $$ :a $$, $t$ $$ :b $t$, :c":    "SELECT <$$ :a $$>, <$t$ $$ :b $t$>, {:c}",
		"SELECT a$1 FROM t$ WHERE x = :y":       "SELECT a$1 FROM t$ WHERE x = {:y}",
		"SELECT 1 -- :a\n, :b":                  "SELECT <1>   , {:b}",
		"SELECT /* :a /* :b */ :c */ :d":        "SELECT   {:d}",
		"SELECT j->>'a', j #> :p, j @> :q":      "SELECT j->><'a'>, j #> {:p}, j @> {:q}",
		"SELECT j ? 'k', j ?| :ks, a:=:b":       "SELECT j ? <'k'>, j ?| {:ks}, a:={:b}",
		"SELECT a[1:2], a[:n], a[lo:hi]":        "SELECT a[<1>:<2>], a[{:n}], a[lo:hi]",
		"SELECT a[:lo : :hi], a[1: :n]":         "SELECT a[{:lo} : {:hi}], a[<1>: {:n}]",
		"SELECT a[(1):2], a[b[1]:c], a[x::int]": "SELECT a[(<1>):<2>], a[b[<1>]:c], a[x::int]",
		"SELECT f(a[1], :b), x :c":              "SELECT f(a[<1>], {:b}), x {:c}",
		"SELECT 1.5e-3 + .5 + 0x1F + 1_000":     "SELECT <1.5e-3> + <.5> + <0x1F> + <1_000>",
		"SELECT N'x', B'01', X'1F', U&'\\0041'": "SELECT <N'x'>, <B'01'>, <X'1F'>, <U&'\\0041'>",
		"SELECT 'é' AS größe, :x":               "SELECT <'é'> AS größe, {:x}",
		"SELECT $1":                             "error: has a parameter by number; declare it and write :name, at line 1, column 8",
		"SELECT\n  'x":                          "error: has a string that does not end, at line 2, column 3",
		"SELECT /* /* */":                       "error: has a comment that does not end, at line 1, column 8",
		"SELECT $x$ $y$":                        "error: has a string in $x$ that does not end, at line 1, column 8",
		`SELECT "x`:                             "error: has a quoted name that does not end, at line 1, column 8",
		"SELECT (1]":                            "error: closes a bracket ] that is not open, at line 1, column 10",
		"SELECT 1)":                             "error: closes a bracket ) that is not open, at line 1, column 9",
		"SELECT ((1)":                           "error: leaves 1 brackets open; close them",
		"SELECT :é":                             "SELECT :é",
		"SELECT :aé":                            "error: has a parameter whose name is not of letters, digits and _, at line 1, column 8",
		"SELECT \x00":                           "error: is not UTF-8 text",
	} {
		if got := showTokens(sql); got != want {
			t.Errorf("%q\n got %s\nwant %s", sql, got, want)
		}
	}
}

// All tokens of a text are the text, and a parameter never lies within a string, a comment or a name.
func FuzzScan(f *testing.F) {
	for _, s := range []string{"SELECT :a", "SELECT E'\\", "$$:a", "'a'\n'b'", "a[:b:c]", "/*/**/*/:x", `"":a""`, "$a$:b$a$", "--\r:a", "E'a'\n'\\'"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		tokens, err := scan(sql)
		if err != nil {
			return
		}
		var b strings.Builder
		open := 0
		for _, tok := range tokens {
			if tok.text == "" {
				t.Fatalf("an empty token in %q", sql)
			}
			switch tok.kind {
			case tokenParam:
				if !isParameter(tok.text[1:]) && len(tok.text) < 65 {
					t.Fatalf("parameter %q in %q", tok.text, sql)
				}
			case tokenOpen:
				open++
			case tokenClose:
				open--
			default:
			}
			if open < 0 {
				t.Fatalf("brackets of %q", sql)
			}
			b.WriteString(tok.text)
		}
		if b.String() != sql || open != 0 || !utf8.ValidString(sql) {
			t.Fatalf("%q became %q", sql, b.String())
		}
	})
}
