package flow_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/fairleadio/fairlead/processors/flow"
)

// Every id that a user can see has advice, and every advice an id.
func TestExplanations(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{flow.ErrApplication: true, flow.ErrPanic: true}
	for _, f := range files {
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range regexp.MustCompile(`FL-FLOW-\d{3}`).FindAllString(string(source), -1) {
			ids[id] = true
		}
	}
	advice := flow.Explanations()
	for id := range ids {
		if advice[id] == "" {
			t.Errorf("%s has no advice", id)
		}
	}
	if len(advice) != len(ids) {
		t.Errorf("%d ids, %d with advice", len(ids), len(advice))
	}
}
