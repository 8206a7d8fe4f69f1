package measure

import (
	"fmt"
	"html"
	"strings"
)

// Chart is a bar chart.
type Chart struct {
	Heading string
	Bars    []Bar
}

// Bar is one bar of a chart.
type Bar struct {
	Title string
	Value float64
	// Label stands behind the bar.
	Label string
	// Other bars are grey: what is compared with.
	Other bool
}

// Sizes of a picture, in pixels.
const (
	chartWidth = 760
	chartLeft  = 300
	chartRight = 170
	barHeight  = 18
	barGap     = 8
)

// SVG draws charts below each other. Charts without bars are left out.
func SVG(charts ...Chart) string {
	var b strings.Builder
	y := 0
	for _, c := range charts {
		if len(c.Bars) == 0 {
			continue
		}
		most := 0.0
		for _, x := range c.Bars {
			most = max(most, x.Value)
		}
		y += 28
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="bold">%s</text>`+"\n", y, html.EscapeString(c.Heading))
		y += 10
		for _, x := range c.Bars {
			colour, wide := "#1f6feb", 1.0
			if x.Other {
				colour = "#9aa5b1"
			}
			if most > 0 {
				wide = max(1, x.Value/most*(chartWidth-chartLeft-chartRight))
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%s</text>`+"\n",
				chartLeft-8, y+barHeight-5, html.EscapeString(x.Title), chartLeft, y, wide, barHeight, colour, chartLeft+wide+6, y+barHeight-5, html.EscapeString(x.Label))
			y += barHeight + barGap
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="white"/>
%s</svg>
`, chartWidth, y+10, b.String())
}
