package flow_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/sdk/flow"
)

// The type takes all members of the argument that the flow mapper makes: a flow refuses members that it does not know.
func TestIncoming(t *testing.T) {
	for text, value := range map[string]string{
		`{"channel":"bids","topic":"ext.bids","partition":2,"offset":7,"timestamp":1700000000123,"key":"k","value":{"a":1},"headers":{"bBase64":"/w==","h":"v"}}`: `{"a":1}`,
		`{"channel":"bids","topic":"ext.bids","partition":2,"offset":7,"timestamp":1700000000123,"keyBase64":"/w==","valueBase64":"aGVsbG8=","headers":{}}`:       "hello",
		`{"channel":"bids","topic":"ext.bids","partition":2,"offset":7,"timestamp":1700000000123,"headers":{}}`:                                                   "",
	} {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		var in flow.Incoming
		if err := d.Decode(&in); err != nil {
			t.Fatal(err)
		}
		if got := string(in.Value) + string(in.ValueBase64); got != value || in.Channel != "bids" || in.Offset != 7 {
			t.Errorf("%s became %+v", text, in)
		}
		again, err := json.Marshal(in)
		if err != nil || string(again) != text {
			t.Errorf("%s became %s: %v", text, again, err)
		}
	}
	var got struct{ A int }
	if err := (flow.Incoming{Value: json.RawMessage(`{"a":1}`)}).Decode(&got); err != nil || !reflect.DeepEqual(got, struct{ A int }{1}) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, in := range []flow.Incoming{{}, {ValueBase64: []byte("x")}, {Value: json.RawMessage(`{"a":"b"}`)}} {
		var e *flow.Error
		if err := in.Decode(&got); !errors.As(err, &e) || e.Type != "bad-message" {
			t.Errorf("%+v: %v", in, err)
		}
	}
}
