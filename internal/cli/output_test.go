package cli

import (
	"bytes"
	"strings"
	"testing"
)

// What somebody else wrote is shown, and moves no cursor.
func TestControlCharactersAreShown(t *testing.T) {
	for in, want := range map[string]string{
		"plain ä\n\tmore": "plain ä\n\tmore", "U S\x00\x1b[31mD": `U S\u0000\u001b[31mD`, "\u009b2J\r": `\u009b2J\u000d`,
	} {
		if got := inert(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	var out bytes.Buffer
	g := &Globals{IO: IO{Out: &out}}
	rows := [][]string{{"\x1b[2J", "b"}}
	if err := g.printTable([]string{"A", "B"}, rows); err != nil || out.String() != "A          B\n\\u001b[2J  b\n" || rows[0][0] != "\x1b[2J" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

// What somebody else wrote looks like no line of fairlead's own, and turns no text round.
func TestOthersTextForgesNothing(t *testing.T) {
	var out bytes.Buffer
	g := &Globals{IO: IO{Out: &out}}
	_ = g.printTable([]string{"TRANSACTION", "IS", "WHY"}, [][]string{{"AB", "open", "no answer\nCD           verified"}})
	if n := strings.Count(out.String(), "\n"); n != 2 {
		t.Errorf("one row prints as %d lines:\n%s", n-1, out.String())
	}
	out.Reset()
	_ = g.showFlow(flowStatus{FlowStatus: "FAILED", FlowError: &flowFailure{Type: "party-refused", Message: "no\nstatus      COMPLETED\nresult      {\"transaction\":\"AB\"}"}})
	if strings.Contains(out.String(), "\nstatus      COMPLETED\n") {
		t.Errorf("another member's text forges a status line:\n%s", out.String())
	}
	if inert("pay \u202e001\u202c USD") == "pay \u202e001\u202c USD" {
		t.Error("a right-to-left override is passed through")
	}
}
