package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// format writes records the way --format says.
type format []func(*strings.Builder, shownRecord)

const defaultFormat = `%d %t/%p/%o %k %y %v\n`

// parseFormat reads %t topic, %p partition, %o offset, %d time, %k key, %y message type, %v value, %j value as JSON,
// %h headers, %s bytes of the value, %%, \n and \t.
func parseFormat(text string) (format, error) {
	var f format
	literal := func(s string) { f = append(f, func(b *strings.Builder, _ shownRecord) { b.WriteString(s) }) }
	field := func(get func(shownRecord) string) {
		f = append(f, func(b *strings.Builder, r shownRecord) { b.WriteString(get(r)) })
	}
	for i := 0; i < len(text); i++ {
		if text[i] != '%' && text[i] != '\\' || i+1 == len(text) {
			literal(text[i : i+1])
			continue
		}
		i++
		switch verb := text[i-1 : i+1]; verb {
		case "%t":
			field(func(r shownRecord) string { return r.Topic })
		case "%p":
			field(func(r shownRecord) string { return fmt.Sprint(r.Partition) })
		case "%o":
			field(func(r shownRecord) string { return fmt.Sprint(r.Offset) })
		case "%d":
			field(func(r shownRecord) string { return r.Time })
		case "%k":
			field(func(r shownRecord) string { return r.Key })
		case "%y":
			field(func(r shownRecord) string { return typeOr(r) })
		case "%v":
			field(valueText)
		case "%j":
			field(func(r shownRecord) string { return string(r.Value) })
		case "%h":
			field(headersText)
		case "%s":
			field(func(r shownRecord) string { return fmt.Sprint(r.Bytes) })
		case "%%", `\\`:
			literal(verb[1:])
		case `\n`:
			literal("\n")
		case `\t`:
			literal("\t")
		default:
			return nil, fmt.Errorf("--format: %s is not known: use %%t %%p %%o %%d %%k %%y %%v %%j %%h %%s %%%% \\n \\t", verb)
		}
	}
	return f, nil
}

func (f format) line(r shownRecord) string {
	var b strings.Builder
	for _, part := range f {
		part(&b, r)
	}
	return b.String()
}

func typeOr(r shownRecord) string {
	if r.Type == "" {
		return "-"
	}
	return r.Type
}

func valueText(r shownRecord) string {
	if r.Problem != "" {
		return r.text + " (" + r.Problem + ")"
	}
	return r.text
}

func headersText(r shownRecord) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		out = append(out, name+"="+r.Headers[name])
	}
	return strings.Join(out, " ")
}

// printRecord writes one record: a line of JSON, or what the format says.
func (g *Globals) printRecord(r shownRecord, f format) error {
	if g.Output != "json" {
		if _, err := fmt.Fprint(g.Out, f.line(r)); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
		return nil
	}
	e := json.NewEncoder(g.Out)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}
