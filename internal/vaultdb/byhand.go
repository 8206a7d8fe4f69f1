package vaultdb

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/vaultschema"
	"github.com/fairleadio/fairlead/internal/rows"
)

// This file holds what concerns schemas that the cluster may not change: an administrator does it by hand, and the
// cluster looks whether it was done.

// ByHand is what an administrator runs.
type ByHand struct {
	// Schema is the schema's name.
	Schema string
	// Renamed: the schema is not there yet and may get another name.
	Renamed bool
	// Application are the package's migrations.
	Application []clusterdb.Migrations
	// Declared are the package's tables, whose changes are captured where they say so; nil for none.
	Declared *rows.Schema
}

// SQL returns the statements, for psql. They make what the schema lacks, of the platform's tables too, and pass over what
// is there: they may be run again.
func (h ByHand) SQL() (string, error) {
	platform, err := vaultschema.Migrations()
	if err != nil {
		return "", err
	}
	schema := postgres.Identifier(h.Schema)
	var b strings.Builder
	once := func(comment, unless, sql string) {
		fmt.Fprintf(&b, "\n-- %s\nDO %s;\n", comment, dollars("once", "BEGIN\nIF NOT EXISTS ("+unless+") THEN\n"+sql+"\nEND IF;\nEND"))
	}
	write := func(table, set string, list []postgres.Migration) {
		history := postgres.Qualified(h.Schema, table)
		for _, m := range list {
			name := postgres.Literal(set) + ", " + postgres.Literal(m.Name)
			once(set+" "+m.Name, "SELECT FROM "+history+" WHERE (set_name, name) = ("+name+")",
				"INSERT INTO "+history+" (set_name, name, checksum) VALUES ("+name+", "+postgres.Literal(m.Checksum())+");\n"+
					"EXECUTE "+dollars("migration", strings.Trim(m.SQL, "\r\n"))+";")
		}
	}
	b.WriteString("-- Run as the role that is to own the schema, with psql -v ON_ERROR_STOP=1. What is there already is passed over.\n")
	if h.Renamed {
		fmt.Fprintf(&b, "-- The schema is called %s here: name it in the connections (?currentSchema=%s), or replace it throughout.\n", schema, h.Schema)
	}
	once("The schema", "SELECT WHERE to_regnamespace("+postgres.Literal(schema)+") IS NOT NULL", "CREATE SCHEMA "+schema+";")
	fmt.Fprintf(&b, "SET search_path TO %s;\n", schema)
	fmt.Fprintf(&b, "%s;\n%s;\n", postgres.HistoryTable(h.Schema, platformHistory), postgres.HistoryTable(h.Schema, ApplicationHistory))
	write(platformHistory, vaultschema.Set, platform)
	for _, m := range h.Application {
		write(ApplicationHistory, m.Cpk, m.List)
	}
	if statements := captures(h.Schema, h.Declared); len(statements) > 0 {
		b.WriteString("\n-- What the change feed captures.\nBEGIN;\n")
		for _, sql := range statements {
			b.WriteString(sql + ";\n")
		}
		b.WriteString("COMMIT;\n")
	}
	fmt.Fprintf(&b, "\n-- Then give the role of the DML connection, here called data, what it needs:\n"+
		"-- GRANT USAGE ON SCHEMA %[1]s TO data;\n"+
		"-- GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %[1]s TO data;\n"+
		"-- GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %[1]s TO data;\n", schema)
	return b.String(), nil
}

// dollars quotes SQL with a tag that it does not have.
func dollars(tag, sql string) string {
	quote := "$" + tag + "$"
	for n := 2; strings.Contains(sql, quote); n++ {
		quote = fmt.Sprintf("$%s%d$", tag, n)
	}
	return quote + "\n" + sql + "\n" + quote
}

// captureSet is under which the application's history remembers what the change feed captures. No package has this
// name.
const captureSet = "fairlead: change feed"

// captures are the statements that make the change feed capture what is declared, and remember it.
func captures(schema string, declared *rows.Schema) []string {
	if declared == nil || len(declared.Triggers()) == 0 {
		return nil
	}
	history := postgres.Qualified(schema, ApplicationHistory)
	m := capturing(declared)
	return append(declared.Triggers(),
		"DELETE FROM "+history+" WHERE set_name = "+postgres.Literal(captureSet),
		"INSERT INTO "+history+" (set_name, name, checksum) VALUES ("+postgres.Literal(captureSet)+", "+postgres.Literal(m.Name)+", "+postgres.Literal(m.Checksum())+")")
}

func capturing(declared *rows.Schema) postgres.Migration {
	return postgres.Migration{Name: "triggers", SQL: strings.Join(declared.Triggers(), ";\n")}
}

// need is what the data role must be able to do with a table.
type need struct {
	table      string
	privileges []string
}

// DataLacks returns what the role of a pool lacks to work with a schema that the cluster did not make, in words. By hand:
// the cluster has no DDL connection, so that nobody else made the triggers of the change feed.
func DataLacks(ctx context.Context, p *postgres.Pool, schema string, declared *rows.Schema, byHand bool) ([]string, error) {
	var usable bool
	err := p.One(ctx, []any{&usable}, "SELECT coalesce(has_schema_privilege(to_regnamespace($1), 'USAGE'), false)", postgres.Identifier(schema))
	if err != nil {
		return nil, err
	}
	if !usable {
		return []string{"USAGE on schema " + schema + ", or the schema itself"}, nil
	}
	all := []need{
		{platformHistory, []string{"SELECT"}},
		{ApplicationHistory, []string{"SELECT"}},
		{"fl_request", []string{"SELECT", "INSERT", "DELETE"}},
		{"fl_counter", []string{"SELECT", "UPDATE"}},
		{"fl_outbox", []string{"SELECT", "INSERT", "DELETE"}},
		{"fl_metadata", []string{"SELECT", "INSERT"}},
		{"fl_transaction", []string{"SELECT", "INSERT", "UPDATE"}},
		{"fl_component", []string{"SELECT", "INSERT"}},
		{"fl_source", []string{"SELECT", "INSERT"}},
		{"fl_state", []string{"SELECT", "INSERT", "UPDATE"}},
		{"fl_signature", []string{"SELECT", "INSERT"}},
		{"fl_filtered", []string{"SELECT", "INSERT"}},
		{"fl_filtered_output", []string{"SELECT", "INSERT"}},
		{"fl_group_parameters", []string{"SELECT", "INSERT"}},
	}
	if declared != nil {
		for _, name := range declared.Tables() {
			all = append(all, need{name, []string{"SELECT", "INSERT", "UPDATE", "DELETE"}})
		}
	}
	var out []string
	for _, n := range all {
		lacks, err := n.lacks(ctx, p, schema)
		if err != nil {
			return nil, err
		}
		out = append(out, lacks...)
	}
	if len(out) > 0 || !byHand || declared == nil || len(declared.Triggers()) == 0 {
		return out, nil
	}
	var made bool
	err = p.One(ctx, []any{&made}, "SELECT EXISTS (SELECT FROM "+postgres.Qualified(schema, ApplicationHistory)+" WHERE set_name = $1 AND checksum = $2)",
		captureSet, capturing(declared).Checksum())
	if err == nil && !made {
		out = append(out, "the triggers of the change feed")
	}
	return out, err
}

func (n need) lacks(ctx context.Context, p *postgres.Pool, schema string) ([]string, error) {
	var there bool
	name := postgres.Qualified(schema, n.table)
	if err := p.One(ctx, []any{&there}, "SELECT to_regclass($1) IS NOT NULL", name); err != nil {
		return nil, err
	}
	if !there {
		return []string{"table " + n.table}, nil
	}
	lacks := slices.Clone(n.privileges)
	for _, privilege := range n.privileges {
		var has bool
		if err := p.One(ctx, []any{&has}, "SELECT has_table_privilege(to_regclass($1), $2)", name, privilege); err != nil {
			return nil, err
		}
		if has {
			lacks = slices.DeleteFunc(lacks, func(l string) bool { return l == privilege })
		}
	}
	if len(lacks) == 0 {
		return nil, nil
	}
	return []string{strings.Join(lacks, ", ") + " on table " + n.table}, nil
}
