package sandbox_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// resident is the memory that this process takes, bytes, without what it shares with files.
func resident(b *testing.B) int64 {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "Private_Dirty:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("no Private_Dirty in smaps_rollup")
	return 0
}
