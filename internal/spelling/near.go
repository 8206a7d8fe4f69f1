package spelling

import (
	"slices"
	"strings"
)

// Near returns those of the known words that are nearest to a word and at most limit changes of one letter away, in
// the order of the known ones; none when all are further away.
func Near(word string, known []string, limit int) []string {
	var best []string
	for _, k := range known {
		d := distance(word, k)
		if d > limit {
			continue
		}
		if d < limit {
			best, limit = nil, d
		}
		best = append(best, k)
	}
	return best
}

// Containing returns the known words that hold a text, whatever its case.
func Containing(text string, known []string) []string {
	return slices.DeleteFunc(slices.Clone(known), func(k string) bool { return !strings.Contains(strings.ToUpper(k), strings.ToUpper(text)) })
}

// distance is Levenshtein's, for short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := before
			if a[i-1] != b[j-1] {
				cost++
			}
			before, row[j] = row[j], min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
