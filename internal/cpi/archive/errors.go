package archive

import "fmt"

// Fault is the class of what is wrong with a zip file, as a stable word.
type Fault string

// Faults.
const (
	// NotZip: it is no zip file, or not all of one.
	NotZip Fault = "not-zip"
	// Layout: it has what this package never writes; see the package's comment.
	Layout Fault = "layout"
	// BadName: the name of an entry is not allowed.
	BadName Fault = "name"
	// Duplicate: two entries have one name, or names that differ only in case.
	Duplicate Fault = "duplicate"
	// TooLarge: a size, a count or a ratio is over its limit.
	TooLarge Fault = "too-large"
	// Corrupt: the compressed data of an entry is damaged or is not of the declared size.
	Corrupt Fault = "corrupt"
)

// Error is a refusal.
type Error struct {
	Fault Fault
	// Entry is the entry's name, quoted where it is not printable; empty when it is about the file as a whole.
	Entry string
	// Detail says what is wrong.
	Detail string
}

// Error returns entry and detail.
func (e *Error) Error() string {
	if e.Entry == "" {
		return e.Detail
	}
	return e.Entry + ": " + e.Detail
}

func fault(f Fault, entry, format string, args ...any) *Error {
	return &Error{Fault: f, Entry: entry, Detail: fmt.Sprintf(format, args...)}
}
