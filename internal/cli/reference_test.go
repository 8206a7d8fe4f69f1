package cli_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/fairleadio/fairlead/internal/cli"
	"github.com/fairleadio/fairlead/topics"
)

// The reference pages are what the code says.
func TestReference(t *testing.T) {
	for name, write := range map[string]func(io.Writer) error{
		"cli.md":    cli.WriteCommandReference,
		"topics.md": cli.WriteTopicReference,
		"errors.md": cli.WriteErrorReference,
		"topics.svg": func(w io.Writer) error {
			_, err := io.WriteString(w, topics.NewGraph(topics.All(), false).SVG())
			return err
		},
	} {
		var want bytes.Buffer
		if err := write(&want); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("..", "..", "docs", "reference", name)
		if *update {
			if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want.Bytes()) {
			t.Errorf("docs/reference/%s is not what the code says: run go test ./internal/cli -run TestReference -update", name)
		}
	}
}
