package vaultdb_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/vaultdb"
)

func TestSplit(t *testing.T) {
	for sql, want := range map[string][]string{
		"":                                 nil,
		"-- nothing\n/* at /* all */ */ ;": nil,
		"SELECT 1; -- x\nselect 2":         {"SELECT 1", "-- x\nselect 2"},
		"INSERT INTO a VALUES ('a;''b')":   {"INSERT INTO a VALUES ('a;''b')"},
		`CREATE TABLE "a;b" ();`:           {`CREATE TABLE "a;b" ()`},
		`SELECT E'\'; COMMIT; --'`:         {`SELECT E'\'; COMMIT; --'`},
		"DO $$ BEGIN; END $$;":             {"DO $$ BEGIN; END $$"},
		"DO $a$ x $$ ; $a$":                {"DO $a$ x $$ ; $a$"},
		"SELECT $1; SELECT 2":              {"SELECT $1", "SELECT 2"},
		"SELECT 'fl_x', afl_x, $$fl_x$$":   {"SELECT 'fl_x', afl_x, $$fl_x$$"},
	} {
		got, err := vaultdb.Split(sql)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", sql, got, err)
		}
	}
	for sql, says := range map[string]string{
		"COMMIT":                            "COMMIT is not allowed",
		"SELECT 1;\n\nrollback":             "line 3: ROLLBACK",
		"/* x */ set statement_timeout = 0": "SET",
		"COPY a FROM PROGRAM 'x'":           "COPY",
		"SELECT 'x":                         "not closed",
		"SELECT $$x":                        "not closed",
		"/* /* */":                          "not closed",
		"(SELECT 1)":                        "(",
		"'x'; COMMIT":                       "quoted",
		"CREATE TABLE fl_later (i int)":     "line 1: fl_later begins with fl_, which is kept for fairlead's own; choose another name",
		"SELECT 1;\nDELETE FROM FL_Request": "line 2: FL_Request begins with fl_",
		`DROP TABLE "fairlead_about"`:       `"fairlead_about" begins with fairlead_`,
		`SELECT u&"\0066l_x"`:               "write its letters",
	} {
		_, err := vaultdb.Split(sql)
		var e *vaultdb.StatementError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", sql, err)
		}
	}
}

func FuzzSplit(f *testing.F) {
	f.Add("SELECT 1; SELECT '2;'")
	f.Add("DO $x$ ; $x$; -- y")
	f.Fuzz(func(t *testing.T, sql string) {
		parts, err := vaultdb.Split(sql)
		if err != nil {
			return
		}
		again, err := vaultdb.Split(strings.Join(parts, "\n;\n"))
		if err != nil || !slices.Equal(parts, again) {
			t.Errorf("%q splits into %q, and that into %q, %v", sql, parts, again, err)
		}
	})
}

func TestParseLogin(t *testing.T) {
	l, err := vaultdb.ParseLogin(`{"database":{"jdbc":{"url":"jdbc:postgresql://db:5432/vault?currentSchema=alice&sslmode=require&x=y"},"user":"u","pass":"canary"}}`)
	if err != nil || l.Address != "postgres://db:5432/vault?sslmode=require" || l.Schema != "alice" || l.User != "u" || l.Password != "canary" {
		t.Errorf("%+v, %v", l, err)
	}
	if l, err = vaultdb.ParseLogin("postgres://u:canary@db/vault"); err != nil || l.Address != "postgres://db/vault" || l.Password != "canary" {
		t.Errorf("%+v, %v", l, err)
	}
	for _, bad := range []string{
		"", "{", "canary", "mysql://u:canary@h/d", "postgres://u:canary@h/", "postgres://h/d", `{"database":{"user":"u","pass":{"configSecret":{"encryptedSecret":"canary"}}}}`,
	} {
		if _, err := vaultdb.ParseLogin(bad); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
