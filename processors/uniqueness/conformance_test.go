package uniqueness_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"
)

func graph(t testing.TB) *engine.Graph {
	t.Helper()
	w, err := uniqueness.NewWorker(uniqueness.Deps{})
	if err != nil {
		t.Fatal(err)
	}
	return w.Graph()
}

// What every group must keep, kept by this one: acceptances, refusals of each kind, repetitions, and requests that are
// malformed or cannot be put to a notary.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a broker for each disturbance")
	}
	var inputs []enginetest.Input
	add := func(a asking) {
		id := fmt.Sprintf("r%d", len(inputs))
		m := message(a.notary, a.Request)
		if a.change != nil {
			a.change(m)
		}
		inputs = append(inputs, enginetest.Input{Topic: topics.UniquenessRequests, Key: a.notary, Value: mustMarshal(t, m), Headers: map[string]string{
			engine.HeaderRequest: id, engine.HeaderReply: engine.ReplyTo(topics.FlowRepliesUniqueness, -1, id),
		}})
	}
	for n := range 12 {
		for _, text := range []string{"issue%d out=3", "pay%d in=issue%[1]d:0,issue%[1]d:1 ref=issue%[1]d:2", "again%d in=issue%[1]d:1", "pay%d in=issue%[1]d:0,issue%[1]d:1 ref=issue%[1]d:2", "none%d in=nobody:0", "odd%d in=issue%[1]d:2,issue%[1]d:2"} {
			a := parseRequest(t, strings.Fields(fmt.Sprintf(text, n)))
			if n%3 == 0 {
				a.notary = notaryB
			}
			add(a)
		}
	}
	poison := enginetest.Input{Topic: topics.UniquenessRequests, Key: notaryA, Value: []byte{0xff}, Headers: inputs[0].Headers}
	// The decision is the same whatever happens to processes, its time is not.
	decision := func(topic string, r *kgo.Record) string {
		var reply rpcv1.Reply
		var answer appv1.UniquenessAnswer
		if topic != topics.FlowRepliesUniqueness || proto.Unmarshal(r.Value, &reply) != nil || proto.Unmarshal(reply.GetResult(), &answer) != nil {
			return fmt.Sprintf("%q: %q", r.Key, r.Value)
		}
		answer.DecidedAtNs = 0
		return fmt.Sprintf("%q: %v", r.Key, mustMarshal(t, &answer))
	}
	enginetest.Suite{Graph: graph, Inputs: inputs, Poison: &poison, Content: decision, Repeatable: true}.Run(t)
}
