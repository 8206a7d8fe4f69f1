package trace

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// duration shows microseconds in a form for people.
func duration(us int64) string {
	d := time.Duration(us) * time.Microsecond
	switch {
	case us < 0:
		return "–"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", us)
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", float64(us)/1e3)
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}

// message is the last part of a message's name.
func message(h Hop) string {
	if h.Tombstone {
		return "(deleted)"
	}
	return h.Type[strings.LastIndex(h.Type, ".")+1:]
}

// Summary is the last line of a trace.
func (t Trace) Summary() string {
	return fmt.Sprintf("%d hops, %d in a row, %s from first to last; workers: %s", len(t.Hops), t.InARow, duration(t.TotalMicros), strings.Join(t.Workers, ", "))
}

// Chain is the trace of its longest chain alone: what took the time. Hops keep their numbers.
func (t Trace) Chain() Trace {
	at := map[int]Hop{}
	last := 0
	for _, h := range t.Hops {
		at[h.Number] = h
		if last == 0 && h.Depth == t.InARow {
			last = h.Number
		}
	}
	out := t
	out.Hops = nil
	for n := last; n != 0; n = at[n].Cause {
		out.Hops = append(out.Hops, at[n])
	}
	slices.Reverse(out.Hops)
	return out
}

// Text writes a trace for people.
func (t Trace) Text(w io.Writer) error {
	rows := [][]string{{"hop", "after", "at", "topic", "place", "written by → read by", "work", "waited", "message"}}
	for _, h := range t.Hops {
		after := "–"
		if h.Cause > 0 {
			after = fmt.Sprint(h.Cause)
		}
		rows = append(rows, []string{
			fmt.Sprint(h.Number), after, "+" + duration(h.AtMicros), h.Topic, fmt.Sprintf("%d/%d", h.Partition, h.Offset),
			h.WrittenBy + " → " + h.ReadBy, duration(h.WorkMicros), duration(h.WaitMicros), message(h),
		})
	}
	right := map[int]bool{0: true, 1: true, 2: true, 6: true, 7: true}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line.WriteString(space + cell + "  ")
			} else {
				line.WriteString(cell + space + "  ")
			}
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	fmt.Fprintln(&b, t.Summary())
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("showing the trace: %w", err)
	}
	return nil
}

// Sizes of the picture, in pixels.
const (
	laneWidth  = 220
	rowHeight  = 44
	headHeight = 84
	leftSpace  = 150
	rightSpace = 240
	footHeight = 40
)

// SVG draws a trace: a lane for each worker, an arrow for each hop, time going down.
func (t Trace) SVG() string {
	var lanes []string
	for _, h := range t.Hops {
		for _, w := range []string{h.WrittenBy, h.ReadBy} {
			if !slices.Contains(lanes, w) {
				lanes = append(lanes, w)
			}
		}
	}
	x := func(lane string) int { return leftSpace + slices.Index(lanes, lane)*laneWidth + laneWidth/2 }
	width := leftSpace + len(lanes)*laneWidth + rightSpace
	height := headHeight + len(t.Hops)*rowHeight + footHeight
	var b strings.Builder
	text := func(x, y int, class, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%d" y="%d" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, html.EscapeString(s))
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>Trace of %s</title>\n", html.EscapeString(t.ID))
	b.WriteString(`<style>text{font:13px system-ui,sans-serif;fill:#1d2b3a}.head{font-weight:600;font-size:15px}.lane{font-weight:600;fill:#fff}.dim{fill:#5b6b7b;font-size:12px}` +
		`.life{stroke:#c3ccd5;stroke-dasharray:3 4}.hop{stroke:#1f6feb;stroke-width:2;fill:none}.self{stroke:#b35900;stroke-width:2;fill:none}</style>` + "\n")
	b.WriteString(`<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 10 5 0 10z" fill="#1f6feb"/></marker>` +
		`<marker id="s" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 10 5 0 10z" fill="#b35900"/></marker></defs>` + "\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	text(16, 26, "head", "start", t.ID)
	for _, lane := range lanes {
		fmt.Fprintf(&b, `<line x1="%d" y1="70" x2="%d" y2="%d" class="life"/>`+"\n", x(lane), x(lane), height-footHeight)
		fmt.Fprintf(&b, `<rect x="%d" y="42" width="%d" height="28" rx="6" fill="#24476b"/>`+"\n", x(lane)-laneWidth/2+24, laneWidth-48)
		text(x(lane), 61, "lane", "middle", lane)
	}
	for i, h := range t.Hops {
		y := headHeight + i*rowHeight + rowHeight/2
		from, to := x(h.WrittenBy), x(h.ReadBy)
		text(40, y+4, "dim", "end", fmt.Sprint(h.Number))
		text(56, y+4, "dim", "start", "+"+duration(h.AtMicros))
		label := fmt.Sprintf("%s %d/%d", h.Topic, h.Partition, h.Offset)
		if from == to {
			fmt.Fprintf(&b, `<path d="M%d %d h46 v14 h-42" class="self" marker-end="url(#s)"/>`+"\n", from, y-8)
			text(from-8, y+3, "", "end", label)
		} else {
			fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" class="hop" marker-end="url(#a)"/>`+"\n", from, y, to, y)
			text((from+to)/2, y-6, "", "middle", label)
		}
		note := message(h)
		if h.WaitMicros >= 0 {
			note += ", waited " + duration(h.WaitMicros)
		}
		text(width-rightSpace+8, y+4, "dim", "start", note)
	}
	text(16, height-14, "head", "start", t.Summary())
	b.WriteString("</svg>\n")
	return b.String()
}
