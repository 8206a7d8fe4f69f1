package cli_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/cli"
	"github.com/fairleadio/fairlead/internal/config"
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

// Every environment variable that the program reads is in the reference.
func TestEnvironmentIsDocumented(t *testing.T) {
	var page bytes.Buffer
	if err := cli.WriteCommandReference(&page); err != nil {
		t.Fatal(err)
	}
	variable := regexp.MustCompile(`FAIRLEAD_[A-Z_]+[A-Z]`)
	found := 0
	for _, dir := range []string{".", "../config", "../devenv", "../app", "../kafkaadmin", "../appbuild", "../../cmd/fairlead"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			source, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range variable.FindAllString(string(source), -1) {
				if found++; !strings.Contains(page.String(), "`"+name+"`") {
					t.Errorf("%s: %s is not in the reference: add it to environment.go", f, name)
				}
			}
		}
	}
	for _, k := range config.Keys() {
		if !strings.Contains(page.String(), "`"+k.Env+"`") {
			t.Errorf("%s is not in the reference", k.Env)
		}
	}
	if found == 0 {
		t.Error("no variable was found in the code")
	}
}
