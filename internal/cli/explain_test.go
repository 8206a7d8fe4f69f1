package cli_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/cli"
)

func TestExplain(t *testing.T) {
	d := &devCluster{t: t}
	out, _ := d.run(0, "explain fl-flow-004")
	d.want(out, `^FL-FLOW-004\n\nOne step of the flow used up`, `(?m)^.{1,100}$`)
	for _, line := range strings.Split(out, "\n") {
		if len(line) > 110 {
			t.Errorf("a line of %d: %s", len(line), line)
		}
	}
	out, _ = d.run(0, "explain FL-DEV-001 -o json")
	var one struct{ ID, Text string }
	if err := json.Unmarshal([]byte(out), &one); err != nil || one.ID != "FL-DEV-001" || one.Text == "" {
		t.Errorf("%v: %s", err, out)
	}
	out, _ = d.run(0, "explain")
	d.want(out, `(?m)^FL-REST-016 +A flow was started before`, `(?m)^FL-TOPICS-001 +A topic has another`)
	out, _ = d.run(0, "explain -o json")
	var all []struct{ ID, Text string }
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) < 50 {
		t.Errorf("%v: %d", err, len(all))
	}
	_, errOut := d.run(4, "explain FL-FLOW-044")
	d.want(errOut, `do you mean FL-FLOW-004, FL-FLOW-014, FL-FLOW-024\?`)
	_, errOut = d.run(4, "explain mapper")
	d.want(errOut, `do you mean FL-MAPPER-001, `)
	_, errOut = d.run(4, "explain nonsense")
	d.want(errOut, `fairlead explain. lists`)
	out, _ = d.run(0, "__complete explain FL-DEV")
	d.want(out, `FL-DEV-001\n`)
}

// sourceOfIDs are the files in which a stable id may be made.
func sourceOfIDs(t *testing.T) map[string][]string {
	t.Helper()
	root := filepath.Join("..", "..")
	found := map[string][]string{}
	id := regexp.MustCompile(`FL-[A-Z0-9]+-[0-9]{3}`)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := e.Name()
		if e.IsDir() {
			// Generated code repeats the comments of .proto files, which name examples.
			if name == "testdata" || name == "gen" || strings.HasPrefix(name, ".") && path != root {
				return fs.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || name == "explain.go" {
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, of := range id.FindAllString(string(source), -1) {
			found[of] = append(found[of], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every stable id in the code has an explanation, every explanation an id in the code, and what explanations tell to
// run exists.
func TestEveryIDIsExplained(t *testing.T) {
	d := &devCluster{t: t}
	out, _ := d.run(0, "explain -o json")
	var all []struct{ ID, Text string }
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	used := sourceOfIDs(t)
	var known []string
	command := regexp.MustCompile("`fairlead ([a-z][^`]*)`")
	for _, e := range all {
		known = append(known, e.ID)
		if used[e.ID] == nil {
			t.Errorf("%s is explained and nowhere in the code", e.ID)
		}
		if len(e.Text) < 60 || !strings.HasSuffix(e.Text, ".") {
			t.Errorf("%s: say what happened and what to do: %q", e.ID, e.Text)
		}
		for _, c := range command.FindAllStringSubmatch(e.Text, -1) {
			named, rest, err := cli.New(cli.IO{}).Find(strings.Fields(c[1]))
			if err != nil || !named.Runnable() || named.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
				t.Errorf("%s tells to run `fairlead %s`, which does not exist", e.ID, c[1])
				continue
			}
			for _, word := range rest {
				if name, ok := strings.CutPrefix(word, "--"); ok && named.Flags().Lookup(name) == nil && named.InheritedFlags().Lookup(name) == nil {
					t.Errorf("%s: `fairlead %s` has no flag %s", e.ID, c[1], word)
				}
			}
		}
	}
	for id, where := range used {
		if !slices.Contains(known, id) {
			t.Errorf("%s in %v has no explanation: add it to the Explanations() of its package, and that to internal/app", id, where)
		}
	}
}
