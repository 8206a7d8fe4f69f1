package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/topics"
)

// The page on JSON has the fields that the code writes.
func TestJSONReference(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string][]string{}
	field := regexp.MustCompile("^\\| `([a-z0-9_]+)` \\|")
	section := ""
	for line := range strings.Lines(string(raw)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = strings.TrimSpace(title)
		}
		if m := field.FindStringSubmatch(line); m != nil {
			sections[section] = append(sections[section], m[1])
		}
	}
	for title, v := range map[string]any{
		"fairlead topics list": topics.Topic{}, "fairlead topics plan": topics.Plan{}, "Changes": topics.Change{},
		"fairlead topics apply": applyResult{}, "fairlead topics diff": difference{}, "fairlead topics lint": topics.Finding{},
		"fairlead tail, fairlead peek": shownRecord{}, "fairlead context list": Contexts{},
		"fairlead app build, fairlead app check": builtPackage{}, "fairlead app package inspect": packageJSON{},
	} {
		var want []string
		for i := range reflect.TypeOf(v).NumField() {
			if name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ","); name != "" {
				want = append(want, name)
			}
		}
		if got := sections[title]; !slices.Equal(got, want) {
			t.Errorf("%s: the page has %v, the code %v", title, got, want)
		}
	}
}
