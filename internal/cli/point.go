package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
)

// parsePoint reads a place in a log: start, end, -N (N records before the end of each partition), OFFSET (the same in
// each partition) or @TIME.
func parsePoint(flag, text string, now time.Time) (kafkaadmin.Point, error) {
	wrong := fmt.Errorf("--%s %q: use start, end, -N, OFFSET or @TIME (@2026-01-31T12:00:00Z, @2026-01-31, @-15m)", flag, text)
	switch {
	case text == "start":
		return kafkaadmin.Start(), nil
	case text == "end":
		return kafkaadmin.End(), nil
	case strings.HasPrefix(text, "@"):
		at, err := parseTime(text[1:], now)
		if err != nil {
			return kafkaadmin.Point{}, wrong
		}
		return kafkaadmin.Since(at), nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return kafkaadmin.Point{}, wrong
	}
	if n < 0 {
		return kafkaadmin.BeforeEnd(-n), nil
	}
	return kafkaadmin.At(n), nil
}

// parseTime reads a time: RFC 3339; without a zone it is UTC; a date alone is its midnight; -15m is a quarter of an hour
// ago.
func parseTime(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(ago), nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time", text)
}
