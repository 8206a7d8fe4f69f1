package persistence

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
)

// problem turns what the database said into an error of the application, without the statement and without values of
// rows. nil means that the application cannot help it: run it again.
func (p *Plan) problem(err error) *rows.Problem {
	var own *rows.Problem
	if errors.As(err, &own) {
		return own
	}
	var e *postgres.Error
	if !errors.As(err, &e) || e.Code == "" {
		return nil
	}
	query := func(format string, args ...any) *rows.Problem {
		return &rows.Problem{ID: rows.IDQuery, Type: rows.TypeQuery, Message: p.subject() + ": " + fmt.Sprintf(format, args...)}
	}
	switch e.Class {
	case postgres.Constraint:
		if strings.HasPrefix(e.Constraint, "fl_outbox_") {
			return &rows.Problem{ID: rows.IDTooLarge, Type: rows.TypeTooLarge, Message: p.subject() + ": " + untellable(e) + ". Nothing was changed"}
		}
		return &rows.Problem{ID: rows.IDConstraint, Type: rows.TypeConstraint, Message: p.subject() + ": " + brokenRule(e) + ". Nothing was changed"}
	case postgres.Data:
		if p.isQuery() {
			return query("a value does not fit: %s", e.Message)
		}
		return &rows.Problem{ID: rows.IDRow, Type: rows.TypeRow,
			Message: p.subject() + ": a value does not fit its column: " + e.Message + "; the message of the database names the type. Nothing was changed"}
	case postgres.Statement:
		if (p.Request.GetLedger() != nil || p.Request.GetTokens() != nil) && (e.Code == "42P01" || e.Code == "42703") && strings.Contains(e.Message, rows.Reserved) {
			return &rows.Problem{ID: IDNoLedger, Type: TypeUnavailable,
				Message: "the schema of virtual node " + p.Vnode + " is of an older version and lacks tables of the ledger. The database worker makes them when it starts, and logs where it may not " +
					"(FL-DB-018): there the schema's owner runs the SQL of GET /virtualnode/" + p.Vnode + "/db/vault/{cpi}. Nothing was changed"}
		}
		if p.isQuery() {
			return query("the database refuses the statement: %s; correct the query or the migrations", e.Message)
		}
		return query("the declaration does not fit the table that the migrations made: %s; make them agree (also the primary key)", e.Message)
	case postgres.Access:
		return query("the statement uses what applications have no right to: %s", e.Message)
	case postgres.Timeout:
		if !p.isQuery() {
			return nil // not the application's statement: it waited, for a lock of a process that died or froze, or for the machine
		}
		return &rows.Problem{ID: IDTimeout, Type: TypeTimeout, Message: p.subject() + ": the statement took too long and was cancelled; make it faster, or ask for less. Nothing was changed"}
	case postgres.Unavailable, postgres.Retry:
		return nil
	default: // raised by the application's own functions, or a limit of the server's
		return query("%s", e.Message)
	}
}

// untellable says why the change feed cannot tell a row.
func untellable(e *postgres.Error) string {
	switch e.Constraint {
	case "fl_outbox_columns":
		return "a row of a table with feed has more than 2 MiB as text, which no change feed can tell; make it smaller, or keep what is large in a table without feed"
	case "fl_outbox_key":
		return "a primary key of a table with feed has more than 128 KiB as text, which no change feed can tell; make it shorter"
	default:
		return fmt.Sprintf("constraint %q of fairlead's outbox refuses a change; leave the outbox to fairlead", e.Constraint)
	}
}

// brokenRule says which constraint refuses, by its name.
func brokenRule(e *postgres.Error) string {
	switch e.Code {
	case "23502":
		return fmt.Sprintf("column %q of table %s must not be null, and a row has no value for it; give one", e.Column, e.Table)
	case "23503":
		return fmt.Sprintf("foreign key %q of table %s refuses it: the row that is referred to is not there, or the one removed is referred to", e.Constraint, e.Table)
	case "23505":
		return fmt.Sprintf("unique constraint %q of table %s refuses it: another row has these values", e.Constraint, e.Table)
	case "23514":
		return fmt.Sprintf("check constraint %q of table %s refuses a row; correct its values", e.Constraint, e.Table)
	default:
		return fmt.Sprintf("constraint %q of table %s refuses it", e.Constraint, e.Table)
	}
}

// isAway tells whether an error says that the server that virtual nodes share cannot be reached, not one session or role,
// nor the server of a virtual node that has its own.
func isAway(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	var e *postgres.Error
	if !errors.As(err, &e) || e.Class != postgres.Unavailable || isElsewhere(err) {
		return false
	}
	switch e.Code {
	case "", "57P01", "57P02", "57P03":
		return true
	default:
		return false
	}
}

// isElsewhere tells whether an error is that of a virtual node's own server.
func isElsewhere(err error) bool {
	var e *vnodes.ElsewhereError
	return errors.As(err, &e)
}
