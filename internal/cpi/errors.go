package cpi

import (
	"errors"
	"strings"

	"github.com/fairleadio/fairlead/internal/cpi/archive"
)

// Stable ids of refusals; see [Explanations].
const (
	ErrNotPackage   = "FL-CPI-001"
	ErrLayout       = "FL-CPI-002"
	ErrName         = "FL-CPI-003"
	ErrDuplicate    = "FL-CPI-004"
	ErrTooLarge     = "FL-CPI-005"
	ErrCorrupt      = "FL-CPI-006"
	ErrManifest     = "FL-CPI-007"
	ErrFormat       = "FL-CPI-008"
	ErrUnlisted     = "FL-CPI-009"
	ErrMissing      = "FL-CPI-010"
	ErrContent      = "FL-CPI-011"
	ErrUnsigned     = "FL-CPI-012"
	ErrSignature    = "FL-CPI-013"
	ErrUntrusted    = "FL-CPI-014"
	ErrExpired      = "FL-CPI-015"
	ErrNested       = "FL-CPI-016"
	ErrDeclaration  = "FL-CPI-017"
	ErrGroupPolicy  = "FL-CPI-018"
	ErrKind         = "FL-CPI-019"
	ErrModule       = "FL-CPI-020"
	ErrIncompatible = "FL-CPI-021"
)

// Error is a refusal of a package or of what one is to be made of.
type Error struct {
	// ID is one of the constants of this package.
	ID string
	// Entry is the file in the package; a path through packages within is joined by " > ". Empty: the package itself.
	Entry string
	// Detail says what is wrong.
	Detail string
	// Remedy says what to do.
	Remedy string
}

// Error returns all of it in one line.
func (e *Error) Error() string {
	parts := []string{e.ID}
	if e.Entry != "" {
		parts = append(parts, e.Entry+":")
	}
	parts = append(parts, e.Detail)
	text := strings.Join(parts, " ")
	if e.Remedy != "" {
		text += ": " + e.Remedy
	}
	return text
}

// IDOf returns the stable id of a refusal, empty for any other error.
func IDOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.ID
	}
	return ""
}

const (
	remedyMake  = "make the package with fairlead app build and fairlead app package"
	remedyAgain = "get the file again from who made it; fairlead app package verify tells whether it is whole"
)

// ofArchive turns a refusal of package archive into one of this package; other errors (of reading) stay as they are.
func ofArchive(err error) error {
	var e *archive.Error
	if !errors.As(err, &e) {
		return err
	}
	out := &Error{Entry: e.Entry, Detail: e.Detail, Remedy: remedyMake}
	switch e.Fault {
	case archive.NotZip:
		out.ID, out.Remedy = ErrNotPackage, remedyAgain
	case archive.Layout:
		out.ID = ErrLayout
	case archive.BadName:
		out.ID, out.Remedy = ErrName, "rename the file"
	case archive.Duplicate:
		out.ID, out.Remedy = ErrDuplicate, "rename one of them"
	case archive.TooLarge:
		out.ID, out.Remedy = ErrTooLarge, "make it smaller"
	default:
		out.ID, out.Remedy = ErrCorrupt, remedyAgain
	}
	return out
}

// within puts the name of a package before the entry of a refusal in it.
func within(name string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	inner := *e
	if inner.Entry == "" {
		inner.Entry = name
	} else {
		inner.Entry = name + " > " + inner.Entry
	}
	return &inner
}
