package engine

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Large records after many small ones are soon asked for by several: else each transaction would have one, and be nearly all commit.
func TestAheadLearnsLargeRecords(t *testing.T) {
	var a ahead
	read := func(records, bytes int) {
		a.OnFetchBatchRead(kgo.BrokerMetadata{}, "in", 0, kgo.FetchBatchMetrics{NumRecords: records, CompressedBytes: bytes})
	}
	for range 100 {
		read(1_000, 150_000)
	}
	for range 300 {
		read(1, 40_000)
	}
	a.worked(1, 20*time.Millisecond)
	if got := a.limit(); got < 5*40_000 {
		t.Errorf("%d bytes are asked for, of records of 40,000 of which 12 are worked off in time", got)
	}
}
