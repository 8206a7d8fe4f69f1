package engine

import (
	"errors"
	"fmt"
	"time"
)

// Limits of a record and of a transaction, in bytes and records.
const (
	// MaxRecordBytes bounds key, value and headers of a record together, as produced.
	MaxRecordBytes = 4<<20 - 64<<10
	// MaxProduceBytes is the producer's own limit: a maximal record can still be retried or dead-lettered with
	// what is added to it.
	MaxProduceBytes = 5 << 20
	// MaxReasonBytes is where reasons and error chains in dead letters are cut.
	MaxReasonBytes = 32 << 10
	// MaxReferenceBytes is how much of a record too large for the dead-letter topic is kept there.
	MaxReferenceBytes = 64 << 10
	// MaxTransactionRecords and MaxTransactionBytes bound what one transaction reads, and what one callback writes.
	MaxTransactionRecords = 20_000
	MaxTransactionBytes   = 64 << 20
)

type poisonError struct{ err error }

func (e *poisonError) Error() string { return e.err.Error() }
func (e *poisonError) Unwrap() error { return e.err }

// Poison is an error for a record that no repetition will make right: it goes to the dead letters at once.
func Poison(format string, args ...any) error { return &poisonError{fmt.Errorf(format, args...)} }

// RetryError asks for the record to be run again later; see [Retry].
type RetryError struct {
	// After is how long to wait; zero takes the engine's back-off.
	After time.Duration
	Err   error
}

func (e *RetryError) Error() string { return fmt.Sprintf("retry: %v", e.Err) }
func (e *RetryError) Unwrap() error { return e.Err }

// Retry is an error for a record that may succeed later: what the callback did is dropped, the record waits in the
// group's retry store, later records of its key queue behind it, and other keys go on. After is how long to wait;
// zero takes the engine's back-off. The number of attempts is bounded by [Config.Retries]; then it is
// dead-lettered.
func Retry(after time.Duration, err error) error { return &RetryError{After: after, Err: err} }

type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// Fatal is an error that has nothing to do with the record: the transaction is aborted and the worker stops, so
// that its supervisor starts it again.
func Fatal(err error) error { return &fatalError{err} }

// SizeError tells that something is larger than a limit allows.
type SizeError struct {
	// What is too large: "record", "key", …
	What  string
	Topic string
	Bytes int
	Limit int
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s for topic %s has %d bytes, at most %d are allowed: send less, or split it", e.What, e.Topic, e.Bytes, e.Limit)
}

// ErrNotReady is returned by what needs assigned and recovered partitions.
var ErrNotReady = errors.New("engine: not ready")
