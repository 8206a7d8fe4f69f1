package measure

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Record keeps what benchmark name has measured: bench/NAME/results.json, docs/performance-NAME.md, and the picture
// docs/performance-NAME.svg unless it is empty. root is the repository's.
func Record(root, name string, results any, page, picture string) error {
	raw, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	files := map[string]string{
		resultsFile(root, name):                                string(raw) + "\n",
		filepath.Join(root, "docs", "performance-"+name+".md"): page,
	}
	if picture != "" {
		files[filepath.Join(root, "docs", "performance-"+name+".svg")] = picture
	}
	for file, content := range files {
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return fmt.Errorf("record results: %w", err)
		}
	}
	return nil
}

// Recorded reads the results that [Record] kept.
func Recorded(root, name string, results any) error {
	raw, err := os.ReadFile(resultsFile(root, name))
	if err != nil {
		return fmt.Errorf("read what is recorded: %w", err)
	}
	if err := json.Unmarshal(raw, results); err != nil {
		return fmt.Errorf("read what is recorded: %w", err)
	}
	return nil
}

func resultsFile(root, name string) string { return filepath.Join(root, "bench", name, "results.json") }
