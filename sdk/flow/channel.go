package flow

import (
	"encoding/json"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Header is a named value of a record. Names that begin with "fl-" are dropped.
type Header struct{ Name, Value string }

// Emit writes a record to an external channel of the package. It commits together with the flow's step: a
// read-committed consumer sees it exactly once. The errors are "no-channel" and "channel-inactive".
func (c *Context) Emit(channel string, key, value []byte, headers ...Header) error {
	_, err := do(c, EmitCall(channel, key, value, headers...))
	return err
}

// EmitJSON is Emit with a value that is written as JSON and a key that is text.
func (c *Context) EmitJSON(channel, key string, v any, headers ...Header) error {
	value, err := json.Marshal(v)
	if err != nil {
		return Errorf("bad-message", "a record for channel %s cannot be written as JSON: %s", channel, err)
	}
	return c.Emit(channel, []byte(key), value, headers...)
}

// EmitCall is [Context.Emit] as a call.
func EmitCall(channel string, key, value []byte, headers ...Header) *Action {
	o := &wire.EmitMessage{Channel: channel, Key: key, Value: value}
	for _, h := range headers {
		o.Headers = append(o.Headers, wire.Property{Name: h.Name, Value: h.Value})
	}
	return action(o)
}
