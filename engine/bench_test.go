package engine_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// BenchmarkThroughput runs b.N records of 100 bytes, each with a table write and one emit, from the embedded broker.
func BenchmarkThroughput(b *testing.B) {
	c := enginetest.NewCluster(b)
	g := engine.Define("bench",
		engine.Input("in", text, engine.Typed(func(ctx engine.Context, msg string) error {
			_ = ctx.Value()
			ctx.SetValue(msg)
			ctx.Emit("out", ctx.Key(), msg)
			return nil
		})), goka.Persist(text), goka.Output("out", text))
	c.CreateTopics(b, 4, g)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	payload := make([]byte, 100)
	for i := range payload {
		payload[i] = byte('a' + i*7%26)
	}
	for i := range b.N {
		cl.Produce(b.Context(), &kgo.Record{Topic: "in", Key: fmt.Appendf(nil, "k%d", i%50000), Value: payload}, nil)
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	cfg := c.Config(b)
	b.ResetTimer()
	enginetest.StartConfig(b, cfg, g)
	start := time.Now()
	c.Drained(b, g)
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "records/s")
}
