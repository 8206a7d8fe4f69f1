package engine_test

import (
	"testing"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

// TestReadme is what README.md shows under "Use it" and "Test it".
func TestReadme(t *testing.T) {
	g := engine.Define("clicks",
		engine.Input("click", new(codec.String), engine.Typed(func(ctx engine.Context, _ string) error {
			n, _ := ctx.Value().(int64)
			ctx.SetValue(n + 1)
			return nil
		})),
		goka.Persist(new(codec.Int64)),
	)
	c := enginetest.NewCluster(t)
	c.CreateTopics(t, 4, g)
	c.Start(t, g)
	for range 10 {
		c.Produce(t, "click", "ann", "click", new(codec.String))
	}
	c.Drained(t, g)
	rows := c.Fold(t, engine.TableTopic("clicks"))
	if string(rows["ann"]) != "10" {
		t.Errorf("ann clicked %s times", rows["ann"])
	}
}
