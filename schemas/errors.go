package schemas

import "fmt"

// TypeError tells that a message or record has another type than the one that belongs there.
type TypeError struct {
	// Want is the full name of the message that belongs there.
	Want string
	// Got is what was there: a message's full name, or a Go type.
	Got string
}

func (e *TypeError) Error() string { return fmt.Sprintf("a %s where a %s belongs", e.Got, e.Want) }

// UnknownTypeError tells that no descriptor of a message is known: the record was written by a newer fairlead, or by
// something else.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string {
	if e.Type == "" {
		return "the record has no message type (header fl-type)"
	}
	return fmt.Sprintf("message type %s is not known here", e.Type)
}

// DecodeError tells that bytes are not a message of the type.
type DecodeError struct {
	Type string
	Err  error
}

func (e *DecodeError) Error() string { return fmt.Sprintf("decode %s: %v", e.Type, e.Err) }

// Unwrap returns what the Protobuf library said.
func (e *DecodeError) Unwrap() error { return e.Err }
