package persistence_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
)

const everyType = `CREATE TABLE every (
  id integer PRIMARY KEY, t text, b boolean, i integer, big bigint, n numeric, d double precision,
  ts timestamptz, da date, u uuid, j jsonb, raw bytea, small varchar(3), c text DEFAULT 'dflt')`

func everyTable() *cpiv1.TableDeclaration {
	return table("every", "id", "id integer", "t text", "b boolean", "i integer", "big bigint", "n numeric", "d double",
		"ts timestamp", "da date", "u uuid", "j json", "raw bytes", "small text", "c text")
}

// What goes in comes out the same, for every type and the values at its ends.
func TestEveryType(t *testing.T) {
	w := newWorld(t, "")
	a := app{tables: []*cpiv1.TableDeclaration{everyTable()}, queries: []*cpiv1.QueryDeclaration{query("all", "SELECT * FROM every WHERE id = :id", "id integer")}}
	c := w.client(w.pool(vnodes.Config{}), w.vnode(1, a.cpi(), everyType), a.cpi())
	full := `{"id":%d,"t":%s,"b":%s,"i":%s,"big":%s,"n":%s,"d":%s,"ts":%s,"da":%s,"u":%s,"j":%s,"raw":%s,"small":%s,"c":"x"}`
	cases := [][]any{
		{`"häß\"\\\n\u0001 <&> 😀"`, "true", "-2147483648", "9223372036854775807", `"123456789012345678901234567890.000000000000000001"`, "1.7976931348623157e+308",
			`"2026-01-31T12:00:00.000001Z"`, `"2026-01-31"`, `"0e3e7a5c-5a4e-4d0c-8f0b-2f6d2a9d6f11"`, `{"a": [1, 2.50, "x"]}`, `"AAECAw=="`, `"abc"`},
		{`""`, "false", "2147483647", "-9223372036854775808", `"-0.10"`, "5e-324", `"0001-01-01T00:00:00Z"`, `"9999-12-31"`,
			`"00000000-0000-0000-0000-000000000000"`, `[]`, `""`, `""`},
		{"null", "null", "null", "null", "null", "null", "null", "null", "null", "null", "null", "null"},
	}
	for n, values := range cases {
		in := fmt.Sprintf(full, append([]any{n}, values...)...)
		c.ok(&appv1.PersistRows{Table: "every", Rows: objects(in)}, nil)
		found := &appv1.Rows{}
		c.ok(&appv1.FindRows{Table: "every", Keys: objects(fmt.Sprintf(`{"id":%d}`, n))}, found)
		want := strings.NewReplacer(`\u0001`, `\u0001`, `{"a": [1, 2.50, "x"]}`, `{"a":[1,2.50,"x"]}`).Replace(in)
		if got := string(found.GetRows()[0]); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if got := text(c.query("all", fmt.Sprintf(`{"id":%d}`, n)).GetRows()); got != want {
			t.Errorf("query: got  %s\nwant %s", got, want)
		}
	}
	// Other forms of the same values.
	c.ok(&appv1.MergeRows{Table: "every", Rows: objects(
		`{"id":9,"n":1.50,"big":"42","ts":"2026-01-31T13:00:00+01:00","u":"0E3E7A5C-5A4E-4D0C-8F0B-2F6D2A9D6F11","d":"NaN","j":null}`)}, nil)
	got := text(c.query("all", `{"id":9}`).GetRows())
	for _, want := range []string{`"n":"1.50"`, `"big":42`, `"ts":"2026-01-31T12:00:00Z"`, `"u":"0e3e7a5c-5a4e-4d0c-8f0b-2f6d2a9d6f11"`, `"d":"NaN"`, `"c":"dflt"`, `"j":null`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	// What only the database can refuse.
	c.fails(&appv1.PersistRows{Table: "every", Rows: objects(`{"id":20,"small":"abcd"}`)}, "invalid-row", "too long")
	c.fails(&appv1.PersistRows{Table: "every", Rows: objects(`{"id":20,"j":"\u0000"}`)}, "invalid-row")
}

func TestPersistMergeRemove(t *testing.T) {
	w := newWorld(t, "")
	a := app{tables: []*cpiv1.TableDeclaration{
		table("account", "bank,id", "bank text", "id bigint", "owner text!", "balance numeric", "parent text"),
	}}
	c := w.client(w.pool(vnodes.Config{}), w.vnode(1, a.cpi(), `CREATE TABLE bank (name text PRIMARY KEY); INSERT INTO bank VALUES ('a'), ('b');
		CREATE TABLE account (bank text REFERENCES bank, id bigint, owner text NOT NULL, balance numeric(12,2) CONSTRAINT positive CHECK (balance >= 0),
		parent text CONSTRAINT one_child UNIQUE, PRIMARY KEY (bank, id))`), a.cpi())
	one := `{"bank":"a","id":1,"owner":"Ann","balance":"10.00","parent":null}`
	c.ok(&appv1.PersistRows{Table: "account", Rows: objects(one, `{"bank":"a","id":2,"owner":"Bob","parent":"p"}`)}, nil)
	c.fails(&appv1.PersistRows{Table: "account", Rows: objects(`{"bank":"a","id":3,"owner":"C"}`, one)}, "exists", "account, row 2", "bank", "merge")
	c.fails(&appv1.PersistRows{Table: "account", Rows: objects(`{"bank":"b","id":3,"owner":"C"}`, `{"bank":"b","id":3,"owner":"C"}`)}, "exists", "row 2")
	c.fails(&appv1.PersistRows{Table: "account", Rows: objects(`{"bank":"z","id":3,"owner":"C"}`)}, "constraint", "foreign key", "account_bank_fkey")
	c.fails(&appv1.PersistRows{Table: "account", Rows: objects(`{"bank":"b","id":3,"owner":"C","balance":-1}`)}, "constraint", "positive")
	e := c.fails(&appv1.PersistRows{Table: "account", Rows: objects(`{"bank":"b","id":3,"owner":"C","parent":"p"}`)}, "constraint", "one_child")
	if strings.Contains(e.GetMessage(), "INSERT") || strings.Contains(e.GetMessage(), `"p"`) {
		t.Errorf("the message shows SQL or values: %s", e.GetMessage())
	}
	c.fails(&appv1.MergeRows{Table: "account", Rows: objects(`{"bank":"b","id":3,"balance":1}`)}, "constraint", "owner", "must not be null")

	// A mixture of whole and partial rows, one of them twice.
	got := &appv1.Rows{}
	c.ok(&appv1.MergeRows{Table: "account", Rows: objects(`{"bank":"a","id":1,"balance":7}`, `{"bank":"b","id":5,"owner":"Eve","balance":1}`,
		`{"bank":"b","id":5,"owner":"Eva"}`, `{"bank":"a","id":2,"balance":3,"owner":"Bob"}`, `{"bank":"a","id":1}`)}, got)
	want := `{"bank":"a","id":1,"owner":"Ann","balance":"7.00","parent":null}
{"bank":"b","id":5,"owner":"Eve","balance":"1.00","parent":null}
{"bank":"b","id":5,"owner":"Eva","balance":"1.00","parent":null}
{"bank":"a","id":2,"owner":"Bob","balance":"3.00","parent":"p"}
{"bank":"a","id":1,"owner":"Ann","balance":"7.00","parent":null}`
	if text(got.GetRows()) != want {
		t.Errorf("merged\n%s", text(got.GetRows()))
	}
	found := &appv1.Rows{}
	c.ok(&appv1.FindRows{Table: "account", Keys: objects(`{"bank":"b","id":5}`, `{"bank":"b","id":99}`, `{"bank":"a","id":1,"more":true}`)}, found)
	if r := found.GetRows(); len(r) != 3 || member(t, r[0], "owner") != `"Eva"` || len(r[1]) != 0 || member(t, r[2], "balance") != `"7.00"` {
		t.Errorf("found\n%s", text(r))
	}
	c.ok(&appv1.RemoveRows{Table: "account", Keys: objects(`{"bank":"b","id":5}`, `{"bank":"b","id":99}`)}, nil)
	page := &appv1.Page{}
	c.ok(&appv1.FindAllRows{Table: "account"}, page)
	if len(page.GetRows()) != 2 || len(page.GetNext()) != 0 {
		t.Errorf("left\n%s", text(page.GetRows()))
	}
}

// Pages hold every row once, in order, whether they are cut by rows or by bytes, and whatever comes and goes behind
// and before them.
func TestPages(t *testing.T) {
	w := newWorld(t, "")
	a := app{
		tables: []*cpiv1.TableDeclaration{table("item", "k,n", "k text", "n integer", "v text", "g integer")},
		queries: []*cpiv1.QueryDeclaration{
			ordered(query("by_g", "SELECT n, k, g FROM item WHERE n >= :from -- a comment at the end", "from integer"), "g", "n"),
			query("counted", "SELECT n FROM item ORDER BY n DESC"),
			ordered(query("twice", "SELECT g FROM item"), "g"),
			ordered(query("lacking", "SELECT n FROM item"), "g"),
			query("wide", "SELECT repeat('x', 3000000) AS x FROM generate_series(1, 50)"),
			query("huge", "SELECT repeat('x', 20000000) AS x"),
			query("many", "SELECT n, repeat('x', 2000) AS x FROM generate_series(1, 100000) n"),
		},
	}
	c := w.client(w.pool(vnodes.Config{}), w.vnode(1, a.cpi(), "CREATE TABLE item (k text, n int, v text, g int, PRIMARY KEY (k, n))"), a.cpi())
	for part := range 3 {
		var in []string
		for n := part * 40; n < part*40+40; n++ {
			g := fmt.Sprint(n % 7)
			if n%5 == 0 {
				g = "null"
			}
			in = append(in, fmt.Sprintf(`{"k":"k%d","n":%d,"v":"%s","g":%s}`, n%3, n, strings.Repeat("v", 10_000), g))
		}
		c.ok(&appv1.PersistRows{Table: "item", Rows: objects(in...)}, nil)
	}
	pages := 0
	walk := func(limit uint32, get func(after []byte) *appv1.Page) []string {
		t.Helper()
		var seen []string
		pages = 0
		for after := []byte(nil); ; pages++ {
			p := get(after)
			for _, r := range p.GetRows() {
				seen = append(seen, member(t, r, "n"))
			}
			if after = p.GetNext(); len(after) == 0 {
				return seen
			}
			if limit > 0 && len(p.GetRows()) > int(limit) || pages > 200 {
				t.Fatalf("a page of %d rows, the %dth", len(p.GetRows()), pages)
			}
		}
	}
	once := func(what string, seen []string) {
		t.Helper()
		all := map[string]bool{}
		for _, s := range seen {
			all[s] = true
		}
		if len(seen) != 120 || len(all) != 120 {
			t.Errorf("%s: %d rows, %d of them different", what, len(seen), len(all))
		}
	}
	for _, limit := range []uint32{0, 1, 7, 120, 500} {
		once(fmt.Sprint("find all by ", limit), walk(limit, func(after []byte) *appv1.Page {
			p := &appv1.Page{}
			c.ok(&appv1.FindAllRows{Table: "item", Limit: limit, After: after}, p)
			return p
		}))
		if limit == 0 && pages == 0 {
			t.Error("1.2 MB came in one page")
		}
		for _, name := range []string{"by_g", "counted"} {
			parameters := map[string]string{"by_g": `{"from":0}`, "counted": ""}[name]
			once(fmt.Sprint(name, " by ", limit), walk(limit, func(after []byte) *appv1.Page {
				p := &appv1.Page{}
				c.ok(&appv1.NamedQuery{Name: name, Parameters: []byte(parameters), Limit: limit, After: after}, p)
				return p
			}))
		}
	}
	p := &appv1.Page{}
	c.ok(&appv1.NamedQuery{Name: "by_g", Parameters: []byte(`{"from":0}`), Limit: 3, Offset: 117}, p)
	if len(p.GetRows()) != 3 || len(p.GetNext()) != 0 || member(t, p.GetRows()[2], "g") != "null" {
		t.Errorf("the last three\n%s", text(p.GetRows()))
	}
	// Rows that go and come while pages are turned.
	first := &appv1.Page{}
	c.ok(&appv1.FindAllRows{Table: "item", Limit: 10}, first)
	for _, r := range first.GetRows() {
		c.ok(&appv1.RemoveRows{Table: "item", Keys: [][]byte{r}}, nil)
	}
	second := &appv1.Page{}
	c.ok(&appv1.FindAllRows{Table: "item", Limit: 1, After: first.GetNext()}, second)
	if member(t, second.GetRows()[0], "n") != "30" {
		t.Errorf("after the first ten comes %s", text(second.GetRows()))
	}

	c.fails(&appv1.NamedQuery{Name: "twice", Limit: 1}, "query-failed", "order_by", "tells them apart")
	c.fails(&appv1.NamedQuery{Name: "lacking"}, "query-failed", "q.g does not exist")
	c.fails(&appv1.NamedQuery{Name: "by_g", Parameters: []byte(`{"from":0}`), After: first.GetNext()}, "invalid-page")
	c.fails(&appv1.FindAllRows{Table: "item", After: []byte(`{"of":"table item","key":["a"]}`)}, "invalid-page")
	c.fails(&appv1.NamedQuery{Name: "wide"}, "too-large", "one row")
	c.fails(&appv1.NamedQuery{Name: "huge"}, "too-large", "one row")
	many := &appv1.Page{}
	c.ok(&appv1.NamedQuery{Name: "many", Limit: 10_000}, many)
	if n := len(many.GetRows()); n < 200 || n > 300 || len(many.GetNext()) == 0 {
		t.Errorf("%d rows of 2,000 bytes in a page", n)
	}
	once("after a result was left in the middle", append(walk(0, func(after []byte) *appv1.Page {
		p := &appv1.Page{}
		c.ok(&appv1.FindAllRows{Table: "item", After: after}, p)
		return p
	}), "a", "b", "c", "d", "e", "f", "g", "h", "i", "j"))
}
