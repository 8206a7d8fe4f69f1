package cli

import (
	"bytes"
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
