package sandbox_test

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/sandbox"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// FuzzDecodeYield checks that what a guest returns is refused as a bad yield or is the one encoding of a yield.
func FuzzDecodeYield(f *testing.F) {
	sleep := &appv1.Request{Operation: &appv1.Request_Sleep{Sleep: &appv1.Sleep{DurationUs: -1}}}
	for _, y := range []*appv1.Yield{
		{},
		{Outcome: &appv1.Yield_Done{Done: &appv1.Done{Result: []byte(`{"a":1}`)}}},
		{Outcome: &appv1.Yield_Failed{Failed: &appv1.Failed{Error: &appv1.Error{Type: "t", Message: "m"}}}},
		{Outcome: &appv1.Yield_Requests{Requests: &appv1.Requests{Requests: []*appv1.Request{sleep, sleep}}}},
	} {
		f.Add(encode(f, y))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		y, err := sandbox.DecodeYield(b)
		if err != nil {
			if sandbox.KindOf(err) != sandbox.BadYield {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		if y.GetOutcome() == nil {
			t.Errorf("%x: no outcome", b)
		}
		if again, err := proto.Marshal(y); err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x is encoded as %x, %v", b, again, err)
		}
	})
}
