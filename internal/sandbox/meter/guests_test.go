package meter_test

import (
	"os"
	"testing"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/sandbox/meter"
)

// Real guests stay far below the bounds of what compiling may cost.
func TestGuestsAreFarFromTheBounds(t *testing.T) {
	rust, err := os.ReadFile("../../../sdk/guests/rust/guest.wasm")
	if err != nil {
		t.Fatal(err)
	}
	guests := map[string][]byte{"rust": rust}
	for _, app := range []string{"hello", "orders"} {
		if guests[app], err = (appbuild.Builder{}).Compile(t.Context(), "../../../apps/"+app); err != nil {
			t.Fatal(err)
		}
	}
	for name, wasm := range guests {
		m, err := meter.Instrument(wasm)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		limit := int64(meter.MaxComplexity + meter.ComplexityPerByte*len(wasm))
		t.Logf("%s: %d bytes; largest function %d of %d, all %d of %d", name, len(wasm), m.Largest, meter.MaxComplexity, m.Complexity, limit)
		if m.Largest > meter.MaxComplexity/3 || m.Complexity > limit/2 {
			t.Errorf("%s is near the bounds", name)
		}
	}
}
