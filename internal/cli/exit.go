package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Exit codes.
const (
	ExitDone     = 0
	ExitError    = 1
	ExitPending  = 2
	ExitRefused  = 3
	ExitNotFound = 4
	ExitTimeout  = 5
)

// codedError is an error with an exit code of its own.
type codedError struct {
	code int
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// refused is an error of something that is not done for a reason; the user can change the reason.
func refused(format string, args ...any) error {
	return &codedError{ExitRefused, fmt.Errorf(format, args...)}
}

// notFound is an error of something that does not exist.
func notFound(format string, args ...any) error {
	return &codedError{ExitNotFound, fmt.Errorf(format, args...)}
}

// errPending makes the command exit with 2 after it has shown what is pending; nothing is printed for it.
var errPending = &codedError{ExitPending, errors.New("changes are pending")}

// exitCode returns the exit code of what a command returned.
func exitCode(err error) int {
	var coded *codedError
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &coded):
		return coded.code
	case errors.Is(err, context.DeadlineExceeded):
		return ExitTimeout
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return ExitNotFound
	default:
		return ExitError
	}
}
