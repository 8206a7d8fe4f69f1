package flow

import (
	"encoding/json"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// Incoming is the argument of a flow that a record of an external channel starts.
type Incoming struct {
	// Channel is the package's name of it; Topic, Partition and Offset are the record's place.
	Channel   string `json:"channel"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	// Timestamp is the record's, in milliseconds since 1970, UTC: its writer's clock, which may be wrong.
	Timestamp int64 `json:"timestamp"`
	// Key is a key that is text, KeyBase64 one that is not; both are nil for a record without key.
	Key       *string `json:"key,omitempty"`
	KeyBase64 []byte  `json:"keyBase64,omitempty"`
	// Value is a value that is JSON, ValueBase64 one that is not; both are nil for a record without value.
	Value       json.RawMessage `json:"value,omitempty"`
	ValueBase64 []byte          `json:"valueBase64,omitempty"`
	// Headers that are text have their names; of others the name ends in Base64.
	Headers map[string]string `json:"headers"`
}

// Decode reads the value into a pointer. Its error is "bad-message" when the value is no JSON, or does not fit.
func (r Incoming) Decode(into any) error {
	if r.Value == nil {
		return Errorf("bad-message", "the record at %d of partition %d of %s has no value that is JSON", r.Offset, r.Partition, r.Topic)
	}
	if err := unmarshal(r.Value, into, false); err != nil {
		return Errorf("bad-message", "the value of the record at %d of partition %d of %s: %s", r.Offset, r.Partition, r.Topic, err)
	}
	return nil
}

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
