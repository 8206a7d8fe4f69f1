package rows

import "fmt"

// Problem is an error of the application: its flow sees it as an error value.
type Problem struct {
	// ID is stable: FL-PERSISTENCE-NNN.
	ID string
	// Type is the word that programs compare.
	Type string
	// Message says what is wrong, where, and what to do.
	Message string
}

// Error is the message with its id.
func (p *Problem) Error() string { return p.ID + ": " + p.Message }

// Ids of problems, for [Explanations] and tests.
const (
	IDNotDeclared = "FL-PERSISTENCE-001"
	IDRow         = "FL-PERSISTENCE-002"
	IDConstraint  = "FL-PERSISTENCE-003"
	IDTooLarge    = "FL-PERSISTENCE-004"
	IDPage        = "FL-PERSISTENCE-005"
	IDDeclaration = "FL-PERSISTENCE-006"
	IDQuery       = "FL-PERSISTENCE-007"
)

// Words of problems.
const (
	TypeNotDeclared = "not-declared"
	TypeRow         = "invalid-row"
	TypeExists      = "exists"
	TypeConstraint  = "constraint"
	TypeTooLarge    = "too-large"
	TypePage        = "invalid-page"
	TypeDeclaration = "invalid-declaration"
	TypeQuery       = "query-failed"
)

func notDeclared(format string, args ...any) *Problem {
	return &Problem{IDNotDeclared, TypeNotDeclared, fmt.Sprintf(format, args...)}
}

func wrongRow(format string, args ...any) *Problem {
	return &Problem{IDRow, TypeRow, fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) *Problem {
	return &Problem{IDTooLarge, TypeTooLarge, fmt.Sprintf(format, args...)}
}

func wrongDeclaration(format string, args ...any) *Problem {
	return &Problem{IDDeclaration, TypeDeclaration, fmt.Sprintf(format, args...)}
}

func wrongQuery(format string, args ...any) *Problem {
	return &Problem{IDQuery, TypeQuery, fmt.Sprintf(format, args...)}
}

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		IDNotDeclared: "A flow asked for a table or a named query that the package of its virtual node does not declare. " +
			"Declare it in the package, or correct the name; the message lists the names that are declared.",
		IDRow: "A row, a key or a parameter does not fit its declaration: a column that is not declared or not given, a value of another type, " +
			"a value that the type cannot hold. The message names table, row (counted from 1), column and what is expected. Nothing was changed.",
		IDConstraint: "A row breaks a constraint of the database: its primary key exists (type exists), or a unique, foreign key, check or not-null " +
			"constraint of the application's own tables refuses it (type constraint). The whole request was taken back.",
		IDTooLarge: "What a flow sent or asked for is larger than 512 KiB or holds more values than one request may. Send fewer rows, or ask for a smaller page.",
		IDPage:     "The value given as \"after\" is not one that a page of the same table or query returned as \"next\". Begin again without it.",
		IDDeclaration: "A package declares a table or a named query that cannot be used; the message names it, what is wrong and what to do. " +
			"The package is not installed.",
		IDQuery: "The database refused a named query, or its result cannot be handed over. The message says why. Run the statement by hand " +
			"against the application's migrations; a query that changes rows must be declared with \"writes\".",
	}
}
