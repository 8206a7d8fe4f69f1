package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"
)

// Kind says what an error of a call means for the caller.
type Kind string

// The kinds.
const (
	// Sealed: Vault runs and has no keys until somebody unseals it. Wait.
	Sealed Kind = "sealed"
	// Unreachable: no answer, a slow one, or one that says to come again. Wait.
	Unreachable Kind = "unreachable"
	// LoggedOut: there is no token, or it has ended; a new one is being fetched. Wait.
	LoggedOut Kind = "logged out"
	// Denied: the token is good and its policy forbids the call. An operator must help.
	Denied Kind = "denied"
	// NotFound: there is no such key, or no such mount.
	NotFound Kind = "not found"
	// Permanent: the same call fails again.
	Permanent Kind = "permanent"
)

// Error is what every failed call returns.
type Error struct {
	Kind Kind
	// Doing says what was being done.
	Doing string
	Err   error
}

// Error says what was being done, the kind, and Vault's own words.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %v", e.Doing, e.Kind, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf returns the kind of an error, [Permanent] for one that is none of this package's, and "" for nil.
func KindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Permanent
}

// Waits tells whether the call may succeed later without anybody changing the request: all kinds but [NotFound] and
// [Permanent].
func (k Kind) Waits() bool {
	return k == Sealed || k == Unreachable || k == LoggedOut || k == Denied
}

// classify finds the kind of the client's error. Whether a 403 is an ended token is found out by the caller.
func classify(doing string, err error) *Error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kindOf(err), Doing: doing, Err: terse(err)}
}

func kindOf(err error) Kind {
	if err == nil {
		return ""
	}
	var resp *api.ResponseError
	if !errors.As(err, &resp) {
		if errors.Is(err, errAnswer) {
			return Permanent
		}
		return Unreachable // dialling, TLS, time-outs, cut answers
	}
	said := strings.ToLower(strings.Join(resp.Errors, " "))
	switch code := resp.StatusCode; {
	case strings.Contains(said, "sealed"):
		return Sealed
	case code == http.StatusForbidden:
		return Denied
	case code == http.StatusNotFound:
		return NotFound
	case code == http.StatusTooManyRequests, code == http.StatusPreconditionFailed, code == http.StatusRequestTimeout, code >= 472:
		return Unreachable // 472, 473: a standby that cannot forward; 5xx: Vault's own trouble
	default:
		return Permanent
	}
}

// terse drops the client's layout, which spans lines and repeats the URL.
func terse(err error) error {
	var resp *api.ResponseError
	if errors.As(err, &resp) {
		said := strings.TrimSpace(strings.ReplaceAll(strings.Join(resp.Errors, "; "), "\n", " "))
		if said == "" {
			said = http.StatusText(resp.StatusCode)
		}
		return fmt.Errorf("status %d: %s", resp.StatusCode, said)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", err)
	}
	return err
}

// errAnswer marks an answer that is not what the API promises.
var errAnswer = errors.New("unexpected answer")
