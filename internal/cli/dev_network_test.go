package cli_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/cli"
)

// What members and applications there are is checked before anything starts.
func TestDevRefusesNetworks(t *testing.T) {
	for line, want := range map[string]string{
		"dev --app A --app B":                  "--app is given 2 times, and all members have the one application of --app: for several, write a file for --network",
		"dev --network payments":               "FL-DEV-012: --network payments: its applications, apps/tokens and apps/notary",
		"dev --network two-banks":              "use payments",
		"dev --network nowhere.yaml":           "neither a built-in network (one-cluster, payments)",
		"dev --detach --app A --app B --app A": "--app is given 3 times",
	} {
		var o, e bytes.Buffer
		dir := t.TempDir()
		env := map[string]string{"FAIRLEAD_CONFIG": "testdata/none.yaml", "XDG_DATA_HOME": dir}
		code := cli.Run(t.Context(), cli.IO{In: strings.NewReader(""), Out: &o, Err: &e, Dir: dir, Env: func(n string) string { return env[n] }}, strings.Fields(line))
		if code != cli.ExitError || !strings.Contains(e.String(), want) {
			t.Errorf("%s: exit code %d\n%s%s", line, code, o.String(), e.String())
		}
	}
}
