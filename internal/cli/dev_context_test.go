package cli

import "testing"

// A second cluster does not take the context of the first that still runs.
func TestDevContextIsNotTakenFromARunningCluster(t *testing.T) {
	of := func(dir string) Settings { return Settings{PasswordFile: dir + "/password"} }
	runs := func(dirs ...string) func(string) bool {
		return func(dir string) bool {
			for _, d := range dirs {
				if d == dir {
					return true
				}
			}
			return false
		}
	}
	for name, c := range map[string]struct {
		contexts map[string]Settings
		serves   func(string) bool
		want     writtenContext
	}{
		"none is there":       {nil, runs(), writtenContext{name: "dev"}},
		"it is this one's":    {map[string]Settings{"dev": of("/data/two")}, runs("/data/two"), writtenContext{name: "dev"}},
		"it runs no more":     {map[string]Settings{"dev": of("/data/one")}, runs(), writtenContext{name: "dev"}},
		"it is no dev one":    {map[string]Settings{"dev": {API: "https://example.com"}}, runs("."), writtenContext{name: "dev"}},
		"it runs":             {map[string]Settings{"dev": of("/data/one")}, runs("/data/one"), writtenContext{name: "dev-two", other: "/data/one"}},
		"the next one's, too": {map[string]Settings{"dev": of("/data/one"), "dev-two": of("/other/two")}, runs("/data/one", "/other/two"), writtenContext{name: "dev-two-2", other: "/data/one"}},
	} {
		if got := devContextFor(Contexts{Contexts: c.contexts}, "/data/two", c.serves); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}
