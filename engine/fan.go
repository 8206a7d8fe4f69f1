package engine

import "math"

// fan measures how much a transaction writes for each record that it reads. A batch runs as a whole, when its records are
// collected: where each writes a thousand, a batch of thousands would write millions, and be in memory until its commit.
type fan struct {
	records, bytes float64 // written for each that is read
}

// What a transaction should write at most.
const (
	fanRecords = 2 * MaxTransactionRecords
	fanBytes   = MaxTransactionBytes / 2
)

// learn takes what a transaction wrote; a former one that wrote more for each counts for a while.
func (f *fan) learn(read int, records, bytes int64) {
	if read == 0 {
		return // of due timers alone
	}
	f.records = max(float64(records)/float64(read), f.records/2)
	f.bytes = max(float64(bytes)/float64(read), f.bytes/2)
}

// limit is how many records the next batch may have.
func (f *fan) limit() int {
	n := math.Inf(1)
	if f.records > 0 {
		n = min(n, fanRecords/f.records)
	}
	if f.bytes > 0 {
		n = min(n, fanBytes/f.bytes)
	}
	if n > MaxTransactionRecords {
		return MaxTransactionRecords
	}
	return max(1, int(n))
}
