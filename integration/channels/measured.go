package channels

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Measured is what a run took. Rates come from the clock on the wall.
type Measured struct {
	Recorded string `json:"recorded"`
	Machine  string `json:"machine"`
	// LoadBefore and LoadAfter are the machine's load averages over 1, 5 and 15 minutes; empty where they cannot be read.
	LoadBefore string `json:"loadBefore"`
	LoadAfter  string `json:"loadAfter"`
	// Orders is how many records started a flow.
	Orders  int `json:"orders"`
	Deals   int `json:"deals"`
	Changes int `json:"changes"`
	Dead    int `json:"deadLetters"`
	// WriteSeconds is how long the producer wrote, Seconds from its beginning to the last flow's end and the last record
	// that a plain consumer saw.
	WriteSeconds float64 `json:"writeSeconds"`
	Seconds      float64 `json:"seconds"`
	// LongestPause is the longest time without a flow's end, in seconds.
	LongestPause  float64        `json:"longestPauseSeconds"`
	Faults        map[string]int `json:"faults"`
	ProcessStarts int            `json:"processStarts"`
	// Problems is what the judge found wrong, Note what it was. A run that failed is recorded like any other.
	Problems int    `json:"problems"`
	Note     string `json:"note,omitempty"`
}

// PerSecond is how many orders were done in a second.
func (m Measured) PerSecond() float64 { return float64(m.Orders) / m.Seconds }

// ReadMeasured reads the runs of a file; there are none in one that does not exist.
func ReadMeasured(name string) ([]Measured, error) {
	raw, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was measured: %w", err)
	}
	var out []Measured
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("read what was measured from %s: %w", name, err)
	}
	return out, nil
}

// AddTo adds a run to a file.
func (m Measured) AddTo(name string) error {
	all, err := ReadMeasured(name)
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(append(all, m), "", "  ")
	if err != nil {
		return fmt.Errorf("encode what was measured: %w", err)
	}
	if err := os.WriteFile(name, append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("record what was measured: %w", err)
	}
	return nil
}

// loadAverage is the machine's load over 1, 5 and 15 minutes; empty where there is no such file.
func loadAverage() string {
	raw, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return ""
	}
	const averages = 3
	f := strings.Fields(string(raw))
	return strings.Join(f[:min(averages, len(f))], " ")
}
