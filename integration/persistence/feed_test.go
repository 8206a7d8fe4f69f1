package persistence_test

import (
	"testing"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"

	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
)

// forges makes a function that writes to the outbox past what migrations are read for.
const forges = `CREATE TABLE item (id int PRIMARY KEY, v text);
CREATE FUNCTION forge(what text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE 'INSERT INTO fl_' || 'outbox (number, committed_at, shape, operation, row_key, row_columns) VALUES (' || what || ')';
  RETURN 1;
END $$`

// What no change feed could tell is refused to the statement that brings it, and the feed goes on.
func TestOutboxHoldsWhatCanBeTold(t *testing.T) {
	w := newWorld(t, "")
	a := app{tables: []*cpiv1.TableDeclaration{fed(table("item", "id", "id integer", "v text"))}, queries: []*cpiv1.QueryDeclaration{
		writing(query("add", "INSERT INTO item SELECT :id, repeat(:c, :n) RETURNING id", "id integer", "c text", "n integer")),
		writing(query("forge", "SELECT forge(:what) AS r", "what text")),
	}}
	h := w.vnode(1, a.cpi(), forges)
	c := w.client(w.pool(vnodes.Config{}), h, a.cpi())
	add := func(parameters string) *appv1.NamedQuery {
		return &appv1.NamedQuery{Name: "add", Parameters: []byte(parameters)}
	}
	c.fails(add(`{"id":1,"c":"x","n":17000000}`), rows.TypeTooLarge, "2 MiB", "without feed")
	// What JSON makes six times as long can still be read.
	c.ok(add(`{"id":2,"c":"\u0001","n":2000000}`), nil)
	const shape = `'{"table":"item","columns":["id"],"types":[25],"key":[0]}'`
	for name, values := range map[string]string{
		"time":      `7, 'infinity', ` + shape + `, 1, '{1}', '{1}'`,
		"year":      `7, '290000-01-01', ` + shape + `, 1, '{1}', '{1}'`,
		"number":    `-7, now(), ` + shape + `, 1, '{1}', '{1}'`,
		"operation": `7, now(), ` + shape + `, 9, '{1}', '{1}'`,
		"no change": `7, now(), ` + shape + `, 0, '{1}', '{1}'`,
		"key":       `7, now(), ` + shape + `, 1, ARRAY[repeat('k', 200000)], '{1}'`,
		"columns":   `7, now(), ` + shape + `, 1, '{1}', array_fill('x'::text, ARRAY[100000])`,
		"shape":     `7, now(), repeat('x', 300000), 1, '{1}', '{1}'`,
	} {
		parameters, err := rows.Object([]rows.Field{{Name: "what", OID: 25}}, [][]byte{[]byte(values)})
		if err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		c.fails(&appv1.NamedQuery{Name: "forge", Parameters: parameters}, rows.TypeTooLarge)
	}
	c.ok(add(`{"id":3,"c":"x","n":1}`), nil)
	changes, err := c.store.Changes(t.Context(), h, 0, 10)
	if err != nil || len(changes.Rows) == 0 || changes.Rows[0].Number != 1 || changes.Last != 2 {
		t.Fatalf("%d changes of %d, %v", len(changes.Rows), changes.Last, err)
	}
	if changes, err = c.store.Changes(t.Context(), h, 1, 10); err != nil || len(changes.Rows) != 1 || string(changes.Rows[0].Key) != `{"id":3}` {
		t.Fatalf("%+v, %v", changes, err)
	}
}
