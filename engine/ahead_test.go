package engine_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// noise is what no compression makes smaller.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// TestNobodyWaitsForABacklog has a long backlog of slow records in one input, and then one record in another: it is run
// long before the backlog is worked off.
func TestNobodyWaitsForABacklog(t *testing.T) {
	const backlog, before, most = 4_000, 50, 2_500
	c := enginetest.NewCluster(t)
	begun, ran := make(chan struct{}), 0
	g := engine.Define("patient",
		engine.Input("starts", text, engine.Typed(func(engine.Context, string) error {
			if ran++; ran == before {
				close(begun)
			}
			for began := time.Now(); time.Since(began) < time.Millisecond; { // the work that a start is
			}
			return nil
		})),
		engine.Input("answers", text, engine.Typed(func(ctx engine.Context, _ string) error {
			ctx.Emit("out", ctx.Key(), fmt.Sprint(ran))
			return nil
		})),
		goka.Output("out", text))
	c.CreateTopics(t, 1, g)
	var recs []*kgoRecord
	for range backlog {
		recs = append(recs, &kgoRecord{Topic: "starts", Key: []byte("k"), Value: noise(300)})
		if len(recs) == 100 { // as many small batches as many small transactions would have written
			c.ProduceRaw(t, recs...)
			recs = nil
		}
	}
	c.Start(t, g)
	<-begun
	c.Produce(t, "answers", "k", "answer", text)
	after := 0
	if _, err := fmt.Sscan(string(c.Consume(t, "out", 1)[0].Value), &after); err != nil {
		t.Fatal(err)
	}
	if after < before || after > most {
		t.Errorf("the answer was run after %d of %d starts; it was there after about %d", after, backlog, before)
	}
}
