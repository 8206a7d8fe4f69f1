package vaultdb_test

import (
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/vaultdb"
)

// Whatever a migration has in it, it stands whole between tags that it does not have.
func TestByHand(t *testing.T) {
	const sql = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $migration$ SELECT 1 /* $once$ $migration2$ */ $migration$ -- it's"
	h := vaultdb.ByHand{Schema: `a"b`, Application: []clusterdb.Migrations{{Cpk: "it's", List: []postgres.Migration{{Name: "0001.sql", SQL: sql}}}}}
	out, err := h.SQL()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"EXECUTE $migration3$\n" + sql + "\n$migration3$;", "-- it's 0001.sql\nDO $once2$\nBEGIN\n", "\nEND\n$once2$;", `to_regnamespace('"a""b"')`,
		`WHERE (set_name, name) = ('it''s', '0001.sql')`, "-- platform 0001_about.sql\nDO $once$\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %s", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
	if strings.Contains(out, "replace it throughout") {
		t.Error("a schema that is there would be called otherwise")
	}
}
