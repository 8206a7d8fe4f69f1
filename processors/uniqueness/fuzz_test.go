package uniqueness_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/schemas"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/topics"
)

// FuzzRead feeds any bytes as a request: they are a dead letter, or are answered; and what is taken for a transaction is what
// the message says.
func FuzzRead(f *testing.F) {
	for _, text := range []string{"a in=issue:0,issue:1 ref=issue:2 out=3 within=5..50", "a read", "issue out=4"} {
		a := parseRequest(f, strings.Fields(text))
		raw, err := schemas.Marshal(message(a.notary, a.Request))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte{})
	f.Add([]byte{26, 2, 40, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Fuzz(func(t *testing.T, raw []byte) { checkRead(t, raw) })
}

// checkRead reads bytes as a request and decides on it.
func checkRead(t *testing.T, raw []byte) {
	t.Helper()
	meta := uniqueness.Meta{Key: notaryA, RequestID: "r", ReplyTo: engine.ReplyTo(topics.FlowRepliesUniqueness, -1, "f")}
	asked, err := uniqueness.Read(meta, raw)
	if err != nil {
		return
	}
	n := newNotary()
	effects := uniqueness.Step(uniqueness.State{Memory: n, Replies: []string{topics.FlowRepliesUniqueness}, NowNs: epoch * 1000}, asked)
	if len(effects) < 2 {
		t.Fatalf("effects %v", effects)
	}
	if _, ok := effects[0].(uniqueness.SendReply); !ok {
		t.Fatalf("the first effect is %T", effects[0])
	}
	if asked.Malformed != "" || len(effects) == 2 {
		return
	}
	// What is remembered is of a request that travels back as it came.
	again, err := uniqueness.Read(meta, mustMarshal(t, message(asked.Message.GetNotary(), asked.Request)))
	if err != nil || again.Malformed != "" {
		t.Fatalf("%v, %s", err, again.Malformed)
	}
	want := proto.Clone(asked.Message).(*uniquenessv1.Request)
	again.Message.FlowId = want.GetFlowId()
	if got := again.Message.GetCheck(); got.GetOutputs() != want.GetCheck().GetOutputs() || string(got.GetTransaction()) != string(want.GetCheck().GetTransaction()) ||
		len(got.GetInputs()) != len(want.GetCheck().GetInputs()) || len(got.GetReferences()) != len(want.GetCheck().GetReferences()) {
		t.Fatalf("%v came back as %v", want, again.Message)
	}
}

// Damaged requests, without the fuzzer's help.
func TestDamagedRequests(t *testing.T) {
	rnd := rand.New(rand.NewPCG(17, 19))
	d := &drawing{rnd: rnd}
	for range 20_000 {
		raw := mustMarshal(t, message(notaryA, d.next()))
		for range 1 + rnd.IntN(3) {
			switch at := rnd.IntN(len(raw)); rnd.IntN(3) {
			case 0:
				raw = raw[:at+1]
			default:
				raw[at] = byte(rnd.Uint32())
			}
		}
		checkRead(t, raw)
	}
}

func mustMarshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := schemas.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
