package topics

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"
)

// Measures of the picture, in pixels.
const (
	svgRow     = 26
	svgTop     = 48
	svgWidth   = 1000
	svgGroupW  = 150
	svgTopicW  = 260
	svgTopicX  = (svgWidth - svgTopicW) / 2
	svgReaderX = svgWidth - svgGroupW - 20
	svgWriterX = 20
	svgBoxH    = 20
)

// SVG is the picture as an image of its own: writers on the left, topics in the middle, readers on the right.
// Compacted topics are filled, dashed lines are views.
func (g Graph) SVG() string {
	var writers, readers []string
	for _, a := range g.Edges {
		if a.Writes && !slices.Contains(writers, a.From) {
			writers = append(writers, a.From)
		}
		if !a.Writes && !slices.Contains(readers, a.To) {
			readers = append(readers, a.To)
		}
	}
	slices.Sort(writers)
	slices.Sort(readers)
	height := svgTop + svgRow*max(len(g.Topics), len(writers), len(readers)) + 20
	topicY, writerY, readerY := spread(g.besideWriters(writers, readers), height), spread(writers, height), spread(readers, height)

	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", svgWidth, height, svgWidth, height)
	b.WriteString("<title>Topics of fairlead: who writes and who reads them</title>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n")
	for _, h := range []struct {
		x    int
		text string
	}{{svgWriterX + svgGroupW/2, "writers"}, {svgWidth / 2, "topics"}, {svgReaderX + svgGroupW/2, "readers"}} {
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"26\" text-anchor=\"middle\" fill=\"#555555\">%s</text>\n", h.x, h.text)
	}
	for _, a := range g.Edges {
		dash := ""
		if a.dashed() {
			dash = ` stroke-dasharray="4 3"`
		}
		if a.Writes {
			curve(&b, svgWriterX+svgGroupW, writerY[a.From], svgTopicX, topicY[a.To], "#2b6cb0", dash)
		} else {
			curve(&b, svgTopicX+svgTopicW, topicY[a.From], svgReaderX, readerY[a.To], "#2f855a", dash)
		}
	}
	for _, w := range writers {
		box(&b, svgWriterX, writerY[w], svgGroupW, w, "#ebf4ff", 3)
	}
	for _, t := range g.Topics {
		fill := "#ffffff"
		if t.Compacted() {
			fill = "#fefcbf"
		}
		box(&b, svgTopicX, topicY[t.Name], svgTopicW, t.Name, fill, 10)
	}
	for _, r := range readers {
		box(&b, svgReaderX, readerY[r], svgGroupW, r, "#e6fffa", 3)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// besideWriters orders the topics by the middle of those who write and read them, so that fewer lines cross.
func (g Graph) besideWriters(writers, readers []string) []string {
	sum, count := map[string]float64{}, map[string]float64{}
	for _, a := range g.Edges {
		topic, place := a.From, float64(slices.Index(readers, a.To))/float64(len(readers))
		if a.Writes {
			topic, place = a.To, float64(slices.Index(writers, a.From))/float64(len(writers))
		}
		sum[topic] += place
		count[topic]++
	}
	var names []string
	for _, t := range g.Topics {
		names = append(names, t.Name)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(sum[a]/count[a], sum[b]/count[b]) })
	return names
}

// spread gives each name the middle of its row, the rows evenly over the height.
func spread(names []string, height int) map[string]int {
	at := map[string]int{}
	for i, n := range names {
		at[n] = svgTop + (height-svgTop-20)*(2*i+1)/(2*len(names))
	}
	return at
}

func box(b *strings.Builder, x, middle, width int, text, fill string, round int) {
	fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" fill=\"%s\" stroke=\"#4a5568\"/>\n", x, middle-svgBoxH/2, width, svgBoxH, round, fill)
	fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"#1a202c\">%s</text>\n", x+width/2, middle+4, html.EscapeString(text))
}

func curve(b *strings.Builder, x1, y1, x2, y2 int, colour, dash string) {
	middle := (x1 + x2) / 2
	fmt.Fprintf(b, "<path d=\"M%d %d C%d %d %d %d %d %d\" fill=\"none\" stroke=\"%s\" stroke-opacity=\"0.7\"%s/>\n", x1, y1, middle, y1, middle, y2, x2, y2, colour, dash)
}
