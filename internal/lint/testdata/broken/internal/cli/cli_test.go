package cli

import (
	"log"
	"testing"
	"time"

	_ "github.com/fairleadio/fairlead/engine/enginetest"
	_ "github.com/fairleadio/fairlead/processors/beta"
	_ "github.com/tetratelabs/wazero" // want: wazero
	"pgregory.net/rapid"
)

func TestSleepy(t *testing.T) {
	log.Print("a test may")
	time.Sleep(1) // want: sleep
	t.Skip("no")  // want: skip
}

func FuzzIt(f *testing.F) {
	f.Skipf("no") // want: skip
}

func TestSteps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		t.Skip("another step")
	})
	each(func(tb testing.TB) {
		tb.SkipNow() // want: skip
	})
}

func TestLong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if other() {
		t.Skip("no") // want: skip
	}
}
