package spelling_test

import (
	"slices"
	"testing"

	"github.com/fairleadio/fairlead/internal/spelling"
)

func TestNear(t *testing.T) {
	known := []string{"FL-FLOW-001", "FL-FLOW-002", "FL-REST-001"}
	for word, want := range map[string][]string{
		"FL-FLOW-001": {"FL-FLOW-001"},
		"FL-FLOW-003": {"FL-FLOW-001", "FL-FLOW-002"},
		"FL-FLW-002":  {"FL-FLOW-002"},
		"nonsense":    nil,
		"":            nil,
	} {
		if got := spelling.Near(word, known, 2); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", word, got, want)
		}
	}
	if got := spelling.Containing("rest", known); !slices.Equal(got, known[2:]) {
		t.Errorf("rest: %v", got)
	}
}
