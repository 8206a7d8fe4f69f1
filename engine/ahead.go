package engine

import (
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// How much is fetched ahead. franz-go keeps one answer of each broker and asks that broker again when all of it has been
// polled, so a record of one input waits behind whatever the answer in hand has of the others. Where callbacks are slow, a
// backlog that fits into one answer can take minutes, and a reply behind it comes too late. So no more is asked for of a
// partition than is worked off in about aheadFor. The bound is each partition's: one for the whole answer would let those
// that come first in it take it all. A batch of records comes whole or not at all, and one that is larger than the bound
// only where its partition is the first of an answer; so the engine's clients use no fetch sessions, in which the order is
// the broker's: without them franz-go begins with another partition each time.
const (
	aheadFor = 250 * time.Millisecond
	// leastAhead is asked for at least, bytes.
	leastAhead = 4 << 10
	// firstAhead is asked for before anything is known, bytes; what is fast reaches the most within a few transactions.
	firstAhead = 64 << 10
	mostAhead  = 8 << 20
	// mostOfAnswer bounds an answer, bytes.
	mostOfAnswer = 32 << 20
	// aheadMemory is how many records the mean size of a record is taken over, about, and aheadBytes how many bytes: large
	// records after many small ones are soon known.
	aheadMemory = 20_000
	aheadBytes  = 2 << 20
)

// ahead measures how large records are on the wire and how fast they are worked off.
type ahead struct {
	mu             sync.Mutex
	bytes, records float64 // read lately, after compression
	rate           float64 // records worked off in a second
}

// OnFetchBatchRead implements [kgo.HookFetchBatchRead].
func (a *ahead) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.FetchBatchMetrics) {
	const overhead = 61 // of a record batch, which the metrics leave out
	a.mu.Lock()
	defer a.mu.Unlock()
	a.bytes += float64(m.CompressedBytes) + overhead
	a.records += float64(m.NumRecords)
	if a.records > aheadMemory || a.bytes > aheadBytes {
		a.bytes /= 2
		a.records /= 2
	}
}

// worked learns from a transaction how many records it worked off, and in what time.
func (a *ahead) worked(records int, took time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// A small transaction is mostly commit and tells too low a rate: a former one counts for a while.
	a.rate = max(float64(records)/max(took, time.Microsecond).Seconds(), a.rate/2)
}

// limit is the most that the next fetch asks for of a partition, bytes.
func (a *ahead) limit() int32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.rate == 0 || a.records == 0 {
		return firstAhead
	}
	return int32(min(max(a.rate*aheadFor.Seconds()*a.bytes/a.records, leastAhead), mostAhead))
}
