package cli

import (
	"encoding/json"
	"fmt"
	"strings"
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
	for _, row := range all {
		for i, cell := range row {
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
