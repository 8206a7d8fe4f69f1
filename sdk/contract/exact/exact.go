package exact

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrPayload is what every error about a payload is.
var ErrPayload = errors.New("payload")

// shown is how much of a text an error shows, bytes.
const shown = 200

// Payload reads a payload that is not longer than most bytes and is the one text of its value. The length is looked at
// first, so that a huge one costs nothing. Errors are [ErrPayload].
func Payload[T any](raw []byte, most int) (T, error) {
	var v T
	if len(raw) > most {
		return v, fmt.Errorf("%w: it has %d bytes, at most %d are allowed", ErrPayload, len(raw), most)
	}
	if err := json.Unmarshal(raw, &v); err != nil {
		return v, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	want, err := Encode(v)
	if err != nil {
		return v, err
	}
	if string(want) != string(raw) {
		var none T
		return none, fmt.Errorf("%w: it is read as %s, but says %s: a payload is written in one way only", ErrPayload, cut(want), cut(raw))
	}
	return v, nil
}

// Encode writes the one text of a value.
func Encode[T any](v T) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPayload, err)
	}
	return b, nil
}

// cut shows the beginning of a text.
func cut(b []byte) string {
	if len(b) > shown {
		return fmt.Sprintf("%q… (%d bytes)", b[:shown], len(b))
	}
	return fmt.Sprintf("%q", b)
}

// Learn lets the JSON package learn a type while the program initialises, from an init function, so that no transaction
// pays for it: for a contract of a few states that is a fifth of its instructions.
func Learn[T any]() {
	var v T
	if b, err := json.Marshal(v); err == nil {
		_ = json.Unmarshal(b, &v) // what it reads does not matter, a type's own methods may refuse it
	}
}
