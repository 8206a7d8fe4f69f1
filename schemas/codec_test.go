package schemas_test

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/schemas"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

func sampleStatus() *flowv1.FlowStatus {
	return &flowv1.FlowStatus{
		Vnode: "A1B2C3D4E5F6", ClientRequestId: "r1", FlowClass: "net.example.Pay",
		State: flowv1.FlowState_FLOW_STATE_FAILED, Error: &flowv1.FlowError{Type: "T", Message: "m", Id: "FL-FLOW-004"},
		CreatedAtUs: 1_700_000_000_000_000,
	}
}

func TestCodecRoundTrip(t *testing.T) {
	c := schemas.Codec[*flowv1.FlowStatus]()
	first, err := c.Encode(sampleStatus())
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.Encode(sampleStatus())
	if err != nil || !bytes.Equal(first, again) {
		t.Fatalf("the same message is not the same bytes: %x, %x, %v", first, again, err)
	}
	back, err := c.Decode(first)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(back.(*flowv1.FlowStatus), sampleStatus()) {
		t.Fatalf("got %v", back)
	}
	if empty, err := c.Decode(nil); err != nil || !proto.Equal(empty.(proto.Message), &flowv1.FlowStatus{}) {
		t.Fatalf("no bytes are the empty message: %v, %v", empty, err)
	}
}

func TestCodecKeepsFieldsOfNewerVersions(t *testing.T) {
	full, err := schemas.Codec[*flowv1.FlowStatus]().Encode(sampleStatus())
	if err != nil {
		t.Fatal(err)
	}
	// Another message stands for an older version: it knows only the two first fields.
	narrow := schemas.Codec[*vnodev1.HoldingIdentity]()
	m, err := narrow.Decode(full)
	if err != nil {
		t.Fatal(err)
	}
	out, err := narrow.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	back, err := schemas.Codec[*flowv1.FlowStatus]().Decode(out)
	if err != nil || !proto.Equal(back.(proto.Message), sampleStatus()) {
		t.Fatalf("unknown fields were lost: %v, %v", back, err)
	}
}

func TestCodecErrors(t *testing.T) {
	c := schemas.Codec[*flowv1.FlowStatus]()
	if got := c.TypeName(nil); got != "fairlead.flow.v1.FlowStatus" {
		t.Fatalf("type name %q", got)
	}
	for name, v := range map[string]any{
		"other message": &flowv1.FlowEvent{}, "nil": nil, "nil message": (*flowv1.FlowStatus)(nil), "string": "x",
	} {
		var wrong *schemas.TypeError
		if _, err := c.Encode(v); !errors.As(err, &wrong) || wrong.Want != "fairlead.flow.v1.FlowStatus" {
			t.Errorf("%s: %v", name, err)
		}
	}
	var bad *schemas.DecodeError
	if _, err := c.Decode([]byte{0xff}); !errors.As(err, &bad) {
		t.Errorf("bad bytes: %v", err)
	}
	var wrong *schemas.TypeError
	if _, err := c.DecodeAs("fairlead.flow.v1.FlowEvent", nil); !errors.As(err, &wrong) || wrong.Got != "fairlead.flow.v1.FlowEvent" {
		t.Errorf("wrong header: %v", err)
	}
	if _, err := c.DecodeAs("", nil); err != nil {
		t.Errorf("no header: %v", err)
	}
	if _, err := c.DecodeAs("fairlead.flow.v1.FlowStatus", nil); err != nil {
		t.Errorf("right header: %v", err)
	}
}
