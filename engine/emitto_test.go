package engine_test

import (
	"fmt"
	"testing"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// theirs is another name for a context, whose field would else have the name of one of its methods.
type theirs = engine.Context

// anothers is a context of somebody else's.
type anothers struct{ theirs }

// EmitTo writes what Emit with goka's options does, also through a context of somebody else's; and headers of the engine's own
// are not the caller's to set.
func TestEmitTo(t *testing.T) {
	c := enginetest.NewCluster(t)
	g := engine.Define("emitting",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			forged := kgo.RecordHeader{Key: engine.HeaderCause, Value: []byte("elsewhere/0/0")}
			request := kgo.RecordHeader{Key: engine.HeaderRequest, Value: []byte(msg)}
			for _, p := range []int32{-1, 3} {
				options := []goka.ContextOption{engine.WithHeaders(goka.Headers{request.Key: request.Value, forged.Key: forged.Value})}
				if p >= 0 {
					options = append(options, engine.ToPartition(p))
				}
				ctx.Emit("out", "k", msg, options...)
				engine.EmitTo(ctx, "out", p, "k", msg, request, forged)
				engine.EmitTo(anothers{ctx}, "out", p, "k", msg, request, forged)
			}
			return nil
		})),
		goka.Output("out", text))
	c.CreateTopics(t, 5, g)
	c.Produce(t, "in", "k", "hello", text)
	c.Start(t, g)
	seen := map[string]int{}
	for _, r := range c.Consume(t, "out", 6) {
		headers := map[string]string{}
		for _, h := range r.Headers {
			if _, twice := headers[h.Key]; twice {
				t.Errorf("header %s is there twice", h.Key)
			}
			headers[h.Key] = string(h.Value)
		}
		seen[fmt.Sprint(r.Partition, string(r.Key), string(r.Value), headers)]++
		if headers[engine.HeaderRequest] != "hello" || headers[engine.HeaderCause] == "elsewhere/0/0" {
			t.Errorf("headers %v", headers)
		}
	}
	if len(seen) != 2 {
		t.Errorf("%d kinds of records, want one for each of two partitions: %v", len(seen), seen)
	}
}
