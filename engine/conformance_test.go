package engine_test

import (
	"fmt"
	"testing"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginetest"
)

func TestConformance(t *testing.T) {
	var in []enginetest.Input
	for i := range 60 {
		in = append(in, enginetest.Input{Topic: "transfers", Key: fmt.Sprintf("a%d", i%7), Value: fmt.Appendf(nil, "t%d a%d 5", i, (i*3)%7)})
	}
	enginetest.Suite{
		Graph:  func(testing.TB) *engine.Graph { return transfers() },
		Inputs: in,
		Poison: &enginetest.Input{Topic: "transfers", Key: "a1", Value: []byte("nonsense")},
	}.Run(t)
}
