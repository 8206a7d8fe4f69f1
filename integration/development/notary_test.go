package development

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/integration/kafkatest"
)

// A virtual node becomes a notary by its key; its flows then ask what was consumed, and a second run of the cluster
// remembers what the first was told.
func TestNotary(t *testing.T) {
	if os.Getenv(kafkatest.RealServersVariable) != "1" {
		t.Skipf("%s=1 is not set", kafkatest.RealServersVariable)
	}
	type answer struct {
		Result int
		At     time.Time
		By     []string
		Error  string
	}
	dir := shortDir(t)
	c := start(t, dir, "testdata/asks")
	asked := 0
	ask := func(tx string, in ...string) (a answer) {
		asked++
		c.run(0, fmt.Sprintf("ask-%s-%d", tx, asked), "ask", map[string]any{"tx": tx, "in": in}, &a)
		return a
	}
	if a := ask("issue"); a.Error != "not-a-notary" {
		t.Errorf("without a key: %+v", a)
	}
	c.call("POST", "/api/v5_2/key/"+c.Info().VirtualNodes[0].ShortHash+"/alias/notary/category/NOTARY/scheme/CORDA.ECDSA.SECP256R1", nil, nil)
	a := ask("issue")
	for began := time.Now(); a.Error == "not-a-notary" && time.Since(began) < patience; {
		a = ask("issue") // until the key is known to the flow worker
	}
	const accepted, inputConflict = 1, 4
	if a.Error != "" || a.Result != accepted {
		t.Fatalf("an issuance: %+v", a)
	}
	paid, double := ask("pay", "issue"), ask("double", "issue")
	if paid.Result != accepted || !paid.At.After(a.At) {
		t.Errorf("a payment: %+v after %+v", paid, a)
	}
	if double.Result != inputConflict || len(double.By) != 1 || double.By[0] != "pay" {
		t.Errorf("a double spend: %+v", double)
	}
	c.stop()

	c = start(t, dir, "testdata/asks")
	defer c.stop()
	if again := ask("pay", "issue"); again.Result != accepted || !again.At.Equal(paid.At) {
		t.Errorf("the second run says %+v, the first said %+v", again, paid)
	}
	if late := ask("late", "issue"); late.Result != inputConflict {
		t.Errorf("a double spend in the second run: %+v", late)
	}
}
