package main

import (
	"fmt"
	"html"
	"strings"
)

// plot draws two bar charts: throughput and median latency.
func plot(r results) string {
	const width, left, bar, gap = 760, 300, 18, 8
	type row struct {
		title string
		value float64
		label string
	}
	var fast, quick []row
	for _, s := range subjects() {
		if t, ok := r.Throughput[s.name]; ok {
			fast = append(fast, row{s.title, t.PerSecond, fmt.Sprintf("%.0f", t.PerSecond)})
		}
		if l, ok := r.Latency[s.name]; ok {
			quick = append(quick, row{s.title, l.P50, fmt.Sprintf("%.1f (90 %%: %.1f)", l.P50, l.P90)})
		}
	}
	var b strings.Builder
	y := 0
	chart := func(heading string, rows []row) {
		if len(rows) == 0 {
			return
		}
		most := 0.0
		for _, x := range rows {
			most = max(most, x.value)
		}
		y += 28
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y, html.EscapeString(heading))
		y += 10
		for i, x := range rows {
			colour := "#9aa5b1"
			if i == 0 {
				colour = "#1f6feb"
			}
			w := x.value / most * (width - left - 130)
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
				left-8, y+bar-5, html.EscapeString(x.title), left, y, max(w, 1), bar, colour, left+w+6, y+bar-5, html.EscapeString(x.label))
			y += bar + gap
		}
	}
	chart("Throughput, records per second (more is better)", fast)
	chart("Latency at 100 records per second, median in ms (less is better)", quick)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
%s</svg>
`, width, y+10, b.String())
}
