package vaultdb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/rows"
)

// Parser parses statements, on the search path of a schema: a *[postgres.Pool] or a *[postgres.Tx].
type Parser interface {
	Parse(ctx context.Context, sql string, types []uint32) error
}

// Misfit is a declared table or query that a database does not take.
type Misfit struct {
	// What it is, such as `query "by-owner"`.
	What string
	// Reason is the server's, and where in the declared SQL.
	Reason string
}

// Misfits has a database parse what is declared, as the role that flows work as, after all migrations: a table or column
// that is not there fails here and not in a flow. An error tells that the database could not be asked.
func Misfits(ctx context.Context, p Parser, declared *rows.Schema) ([]Misfit, error) {
	var out []Misfit
	for _, t := range declared.Trials() {
		if len(out) > 0 && out[len(out)-1].What == t.What {
			continue // one reason is enough
		}
		err := p.Parse(ctx, t.Statement(), t.Types)
		if err == nil {
			continue
		}
		reason, is := misfit(t, err)
		if !is {
			return nil, fmt.Errorf("try %s: %w", t.What, err)
		}
		out = append(out, Misfit{t.What, reason})
	}
	return out, nil
}

// misfit says why a statement is refused, and whether that is the statement's fault.
func misfit(t rows.Trial, err error) (reason string, is bool) {
	var e *postgres.Error
	if !errors.As(err, &e) || e.Code == "" {
		return "", false
	}
	switch e.Class {
	case postgres.Unavailable, postgres.Retry, postgres.Timeout:
		return "", false
	default:
	}
	reason = e.Message
	if t.Part != "" {
		reason = t.Part + ": " + reason
	} else if line := lineOf(t.SQL, e.Position-len(t.Before)); line != 0 {
		reason += fmt.Sprintf(" (line %d of its SQL)", line)
	}
	if e.Hint != "" {
		reason += "; " + e.Hint
	}
	return strings.TrimSuffix(reason, "."), true
}

// lineOf is the line of a place in SQL, which Postgres counts in characters from 1; 0 when there is but one line, or the
// place is not known or before it.
func lineOf(sql string, position int) int {
	if position <= 0 || !strings.Contains(sql, "\n") {
		return 0
	}
	line, at := 1, 1
	for _, c := range sql {
		if at == position {
			break
		}
		at++
		if c == '\n' {
			line++
		}
	}
	return line
}
