package measure

import (
	"math"
	"slices"
	"time"
)

// Percentiles are milliseconds.
type Percentiles struct {
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
	Count int     `json:"count"`
}

// PercentilesOf sums durations up; the zero value for none. It sorts them.
func PercentilesOf(all []time.Duration) Percentiles {
	if len(all) == 0 {
		return Percentiles{}
	}
	slices.Sort(all)
	at := func(q float64) float64 {
		return Millis(all[min(len(all)-1, int(math.Ceil(q*float64(len(all))))-1)])
	}
	return Percentiles{P50: at(0.5), P90: at(0.9), P99: at(0.99), Max: Millis(all[len(all)-1]), Count: len(all)}
}

// Millis is a duration in milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
