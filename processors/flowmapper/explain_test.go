package flowmapper_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/fairleadio/fairlead/processors/flowmapper"
)

// Every id that a user can see has advice, and every advice an id.
func TestExplanations(t *testing.T) {
	advice := flowmapper.Explanations()
	ids := map[string]bool{}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f == "explain.go" {
			continue
		}
		source, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range regexp.MustCompile(`FL-MAPPER-\d{3}`).FindAllString(string(source), -1) {
			ids[id] = true
		}
	}
	for id := range ids {
		if advice[id] == "" {
			t.Errorf("%s has no advice", id)
		}
	}
	if len(advice) != len(ids) {
		t.Errorf("%d ids, %d with advice", len(ids), len(advice))
	}
}
