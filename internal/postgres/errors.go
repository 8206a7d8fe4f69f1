package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Class says what can be done about an error.
type Class string

// The classes.
const (
	// Unavailable: the server cannot be reached, is starting, stopping or full. Wait; nothing else will help.
	Unavailable Class = "unavailable"
	// Retry: the server broke the transaction off because of others (deadlock, serialisation, lock time-out). Run it
	// again.
	Retry Class = "retry"
	// Timeout: a time-out of the server or the end of the caller's context broke the statement off.
	Timeout Class = "timeout"
	// Constraint: the data breaks a rule of its tables: unique, foreign key, check, not null.
	Constraint Class = "constraint"
	// Data: a value does not fit its type: too long, out of range, malformed.
	Data Class = "data"
	// Access: the role may not do it, or cannot log in.
	Access Class = "access"
	// Statement: the SQL is wrong, or names what is not there.
	Statement Class = "statement"
	// Other: everything else; a fault of fairlead's or of the server's.
	Other Class = "other"
)

// Error is an error of the server or of the way to it.
type Error struct {
	Class Class
	// Doing is what was being done.
	Doing string
	// Code is the SQLSTATE, empty when the server did not speak.
	Code string
	// Message, Detail and Hint are the server's. Detail may hold values of rows.
	Message, Detail, Hint string
	// Schema, Table, Column and Constraint name what is concerned, where the server says so.
	Schema, Table, Column, Constraint string
	// Position is where in the SQL, counted from 1; 0 when unknown.
	Position int
	// cause is kept only for contexts: the driver's types stay inside.
	cause error
}

// Error says what was being done and what the server said; never the detail, which may hold a tenant's values.
func (e *Error) Error() string {
	if e.Code == "" {
		return e.Doing + ": " + e.Message
	}
	return fmt.Sprintf("%s: %s (SQLSTATE %s)", e.Doing, e.Message, e.Code)
}

// Unwrap returns context.Canceled or context.DeadlineExceeded when that was the cause, else nothing.
func (e *Error) Unwrap() error { return e.cause }

// ClassOf returns the class of an error of this package, Other for any other error. nil has none.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Class
	}
	return Other
}

// Breaks tells whether err is a broken constraint of this name; an empty name means any.
func Breaks(err error, constraint string) bool {
	var e *Error
	return errors.As(err, &e) && e.Class == Constraint && (constraint == "" || e.Constraint == constraint)
}

// classify turns an error of pgx into one of ours; nil stays nil.
func classify(what string, err error) error {
	if err == nil {
		return nil
	}
	var own *Error
	if errors.As(err, &own) {
		return err
	}
	e := &Error{Class: Other, Doing: what, Message: err.Error()}
	for _, c := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, c) {
			e.cause, e.Class = c, Timeout
		}
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		e.Code, e.Message, e.Detail, e.Hint = pg.Code, pg.Message, pg.Detail, pg.Hint
		e.Schema, e.Table, e.Column, e.Constraint = pg.SchemaName, pg.TableName, pg.ColumnName, pg.ConstraintName
		e.Position = int(pg.Position)
		if e.cause == nil {
			e.Class = classOfCode(pg.Code)
		}
		return e
	}
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &connect):
		// Its text quotes user and database, which are no secrets, and never the password.
		e.Class = Unavailable
	case e.cause != nil:
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		strings.Contains(err.Error(), "conn closed"), strings.Contains(err.Error(), "closed pool"):
		e.Class = Unavailable
	}
	return e
}

// classOfCode sorts the SQLSTATEs that a server sends.
func classOfCode(code string) Class {
	switch code {
	case "40001", "40P01", "55P03", "40002", "40003":
		return Retry
	case "57014", "25P03", "25P04":
		return Timeout
	case "57P01", "57P02", "57P03", "57P05", "53300", "53400":
		return Unavailable
	case "42501", "28000", "28P01":
		return Access
	}
	if len(code) < 2 {
		return Other
	}
	switch code[:2] {
	case "08", "58":
		return Unavailable
	case "53": // out of memory, disk full
		return Unavailable
	case "23":
		return Constraint
	case "22":
		return Data
	case "42", "0A", "3D", "3F", "2B", "2D", "25", "26", "34":
		return Statement
	}
	return Other
}

// doing names a statement by its first words, which hold no values.
func doing(sql string) string {
	words := strings.Fields(sql)
	if len(words) > 4 {
		words = words[:4]
	}
	return "run " + strings.Join(words, " ")
}
