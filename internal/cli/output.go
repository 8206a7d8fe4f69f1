package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printJSON writes a value as indented JSON.
func (g *Globals) printJSON(v any) error {
	e := json.NewEncoder(g.Out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// printTable writes rows under headings, in columns as wide as needed.
func (g *Globals) printTable(headings []string, rows [][]string) error {
	widths := make([]int, len(headings))
	all := append([][]string{headings}, rows...)
	for n, row := range all {
		all[n] = slices.Clone(row)
		for i, cell := range row {
			cell = inertLine(cell)
			all[n][i] = cell
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range all {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		if _, err := fmt.Fprintln(g.Out, strings.TrimRight(line.String(), " ")); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
	}
	return nil
}

// inert is a text whose control characters are shown and do nothing: much of what is printed was written by an application, or
// by another member. New lines and tabs stay.
func inert(text string) string {
	return shown(text, func(r rune) bool { return acting(r) && r != '\n' && r != '\t' })
}

// inertLine is [inert] for what is one line: a new line in it would look like one of fairlead's own.
func inertLine(text string) string { return shown(text, acting) }

// acting tells whether a character moves the cursor or turns the direction of writing.
func acting(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

func shown(text string, acts func(rune) bool) string {
	if !strings.ContainsFunc(text, acts) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if acts(r) {
			fmt.Fprintf(&b, "\\u%04x", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Colours of changes.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
	grey   = "90"
)

// paint colours a text where colours are shown.
func (g *Globals) paint(colour, text string) string {
	if !g.Colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// plural is "1 topic", "2 topics".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
