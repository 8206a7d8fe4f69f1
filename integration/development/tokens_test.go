package development

import (
	"fmt"
	"os"
	"testing"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// Flows issue tokens, claim them and pay with them, through all workers; a claim ends with its flow, and a second run of the
// cluster has the same tokens.
func TestTokens(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	type receipt struct{ Claimed, Total, Available, Error string }
	dir := shortDir(t)
	c := start(t, dir, "testdata/pays")
	n := 0
	pay := func(order map[string]any) (r receipt) {
		n++
		c.run(0, fmt.Sprintf("pay-%d", n), "pay", order, &r)
		return r
	}
	want := func(got, want receipt) {
		t.Helper()
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	want(pay(map[string]any{"issue": []string{"5", "0.5", "3"}, "claim": "8.5"}), receipt{Claimed: "8.5", Total: "8.5", Available: "0"})
	want(pay(map[string]any{"claim": "8.6"}), receipt{Total: "8.5", Available: "8.5", Error: "not-enough-tokens"})
	want(pay(map[string]any{"claim": "8.5", "spend": true}), receipt{Claimed: "8.5", Total: "8.5", Available: "8.5"})
	want(pay(map[string]any{"claim": "1"}), receipt{Claimed: "8.5", Total: "8.5", Available: "0"})
	c.stop()

	c = start(t, dir, "testdata/pays")
	defer c.stop()
	want(pay(map[string]any{"claim": "8", "spend": true}), receipt{Claimed: "8.5", Total: "8.5", Available: "8.5"})
}
