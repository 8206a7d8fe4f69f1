package cli

import (
	"bytes"
	"testing"
)

// What is not there, and what is refused, has the exit code of that also where the status says less.
func TestExitCodesOfIDs(t *testing.T) {
	for id, want := range map[string]int{"FL-REST-014": ExitNotFound, "FL-REST-029": ExitNotFound, "FL-DB-008": ExitRefused, "FL-DB-010": ExitRefused, "FL-REST-001": ExitError} {
		if got := exitCode((&restError{status: 400, id: id, text: "no"}).coded()); got != want {
			t.Errorf("%s: exit code %d, want %d", id, got, want)
		}
	}
	for reason, want := range map[string]int{"FL-DB-026: it keeps 3 states": ExitRefused, "FL-DB-023: migration 2 failed": ExitError} {
		var out bytes.Buffer
		g := &Globals{IO: IO{Out: &out, Err: &out}}
		if got := exitCode(g.showOperation(operation{Status: "FAILED", Reason: &reason}, "")); got != want {
			t.Errorf("%s: exit code %d, want %d", reason, got, want)
		}
	}
}
