package flow

import "fmt"

// Error is a failure with a word that programs can rely on: the platform's, such as "not-found", or the
// application's own.
type Error struct {
	// Type is the stable word, for example "insufficient-funds".
	Type string
	// Message is for people.
	Message string
}

// The platform's errors that flows deal with, to be compared with errors.Is; what the platform returns has the same type
// and a message that says more.
var (
	// ErrSessionClosed: the other side closed the session, and every message was read; or this side did.
	ErrSessionClosed = &Error{Type: "session-closed"}
	// ErrSessionFailed: the other side's flow failed, or there is none that takes the session. The message says why.
	ErrSessionFailed = &Error{Type: "session-error"}
	// ErrSessionTimeout: nothing came from the other side for the session's time-out.
	ErrSessionTimeout = &Error{Type: "session-timeout"}
	// ErrBadMessage: the other side sent something that does not fit the type that was asked for.
	ErrBadMessage = &Error{Type: "bad-message"}
	// ErrInvalidArgument: a request makes no sense, such as a name that is no X.500 name; the message says why.
	ErrInvalidArgument = &Error{Type: "invalid-argument"}
	// ErrLimit: what is asked, or its answer, is larger than the platform takes. Ask for less, or page by page.
	ErrLimit = &Error{Type: "limit"}
	// ErrTimeout: another worker of the platform did not answer in time; whether it did what was asked is not known.
	ErrTimeout = &Error{Type: "timeout"}
	// ErrNotFound: there is no such row, member or key.
	ErrNotFound = &Error{Type: "not-found"}
	// ErrExists: a row with the same primary key exists.
	ErrExists = &Error{Type: "exists"}
	// ErrConstraint: a row breaks a constraint of the application's own tables.
	ErrConstraint = &Error{Type: "constraint"}
	// ErrInvalidRow: a row, key or parameter does not fit its declaration.
	ErrInvalidRow = &Error{Type: "invalid-row"}
	// ErrNotDeclared: the package declares no table or query of that name.
	ErrNotDeclared = &Error{Type: "not-declared"}
	// ErrNotNotary: the flow's virtual node is not a notary, so it has no notary's memory to ask.
	ErrNotNotary = &Error{Type: "not-a-notary"}
	// ErrNoChannel: the package declares no channel of that name that flows can emit to.
	ErrNoChannel = &Error{Type: "no-channel"}
	// ErrChannelInactive: the channel's route is switched off in the virtual node.
	ErrChannelInactive = &Error{Type: "channel-inactive"}
	// ErrInvalidTransaction is what [Verification.Err] says of a transaction that keeps not all rules.
	ErrInvalidTransaction = &Error{Type: "invalid-transaction"}
	// ErrUnresolved: a state that a transaction consumes or looks at was not shown, or is not what its reference names.
	ErrUnresolved = &Error{Type: "unresolved"}
	// ErrPackageMissing: the cluster does not have a package that a transaction names. It may have it later.
	ErrPackageMissing = &Error{Type: "package-missing"}
	// ErrPackageRefused: a package of another party is not taken, or one is not read: nobody signed it whom the cluster trusts
	// for its name, it is not the file that is named, or too large.
	ErrPackageRefused = &Error{Type: "package-refused"}
	// ErrPackageUntrusted: a transaction names a package that is none of the flow's own package, nor another version of one by
	// the same signer, or has a contract of the name of one of the flow's own judged by code of other signers. Whoever wrote it could
	// have chosen code that lets everything pass.
	ErrPackageUntrusted = &Error{Type: "package-untrusted"}
)

// Error returns the message, or the type when there is none.
func (e *Error) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Message
}

// Errorf makes an Error with a type of the application's own.
func Errorf(typ, format string, args ...any) *Error {
	return &Error{Type: typ, Message: fmt.Sprintf(format, args...)}
}

// Is lets errors.Is compare types: a target without message matches every message.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Type == e.Type && (t.Message == "" || t.Message == e.Message)
}
