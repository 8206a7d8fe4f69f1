package main

import (
	"fmt"
	"html"
	"strings"
)

// plot draws for each group two bar charts: median latency and rate.
func plot(r results) string {
	const width, left, bar, gap = 820, 300, 18, 8
	var b strings.Builder
	y := 0
	chart := func(heading string, all []row, value func(row) float64, label func(row) string) {
		most := 0.0
		for _, x := range all {
			most = max(most, value(x))
		}
		y += 28
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y, html.EscapeString(heading))
		y += 10
		for _, x := range all {
			colour := "#9aa5b1"
			if strings.HasPrefix(x.subject.name, "fairlead") {
				colour = "#1f6feb"
			}
			w := 1.0
			if most > 0 {
				w = max(w, value(x)/most*(width-left-150))
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
				left-8, y+bar-5, html.EscapeString(x.title), left, y, w, bar, colour, left+w+6, y+bar-5, html.EscapeString(label(x)))
			y += bar + gap
		}
	}
	for _, g := range groups {
		all := rows(r, g.group)
		if len(all) == 0 {
			continue
		}
		chart(g.title+": median latency, ms (less is better)", all, func(x row) float64 { return x.P50 }, func(x row) string { return fmt.Sprintf("%.1f (90 %%: %.1f)", x.P50, x.P90) })
		chart(fmt.Sprintf("%s: workflows per second, %d callers (more is better)", g.title, r.Callers), all, func(x row) float64 { return x.PerSecond }, func(x row) string { return fmt.Sprintf("%.0f", x.PerSecond) })
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
%s</svg>
`, width, y+10, b.String())
}
