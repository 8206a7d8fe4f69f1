package engine

import (
	"encoding/binary"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawBatch is the head of a record batch, as far as it matters here.
func rawBatch(base, last int64, attributes uint16, producer int64, records int32) []byte {
	b := make([]byte, 61)
	binary.BigEndian.PutUint64(b, uint64(base))
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint16(b[21:], attributes)
	binary.BigEndian.PutUint32(b[23:], uint32(last-base))
	binary.BigEndian.PutUint64(b[43:], uint64(producer))
	binary.BigEndian.PutUint32(b[57:], uint32(records))
	return b
}

func TestInvisibleUntil(t *testing.T) {
	const data, txn, marker = 0, 0x10, 0x30
	type aborted = kmsg.FetchResponseTopicPartitionAbortedTransaction
	for _, c := range []struct {
		name         string
		batches      [][]byte
		from, stable int64
		aborted      []aborted
		want         int64
	}{
		{"nothing", nil, 5, 9, nil, 5},
		{"a record", [][]byte{rawBatch(5, 6, data, -1, 2)}, 5, 9, nil, 5},
		{"emptied at the end", [][]byte{rawBatch(5, 8, data, -1, 0)}, 5, 9, nil, 9},
		{"emptied, then a record", [][]byte{rawBatch(5, 6, data, -1, 0), rawBatch(9, 9, data, -1, 1)}, 5, 10, nil, 9},
		{"aborted without a marker", [][]byte{rawBatch(0, 0, txn, 7, 1)}, 0, 1, []aborted{{ProducerID: 7}}, 1},
		{"aborted, then its marker", [][]byte{rawBatch(3, 4, txn, 7, 2), rawBatch(5, 5, marker, 7, 1)}, 3, 6, []aborted{{ProducerID: 7, FirstOffset: 3}}, 5},
		{"aborted from before the fetch", [][]byte{rawBatch(3, 4, txn, 7, 2)}, 3, 6, []aborted{{ProducerID: 7, FirstOffset: 1}}, 5},
		{"committed after an abort of the same producer", [][]byte{
			rawBatch(3, 3, txn, 7, 1), rawBatch(4, 4, marker, 7, 1), rawBatch(5, 5, txn, 7, 1),
		}, 3, 6, []aborted{{ProducerID: 7, FirstOffset: 3}}, 4},
		{"committed beside an abort", [][]byte{rawBatch(3, 3, txn, 8, 1)}, 3, 6, []aborted{{ProducerID: 7, FirstOffset: 3}}, 3},
		{"not decided yet", [][]byte{rawBatch(3, 3, txn, 7, 1)}, 3, 3, nil, 3},
	} {
		var raw []byte
		for _, b := range c.batches {
			raw = append(raw, b...)
		}
		if got := invisibleUntil(raw, c.from, c.stable, c.aborted); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func FuzzInvisibleUntil(f *testing.F) {
	f.Add(rawBatch(0, 3, 0, 1, 0), int64(0), int64(9))
	f.Add(append(rawBatch(0, 3, 0x10, 1, 2), 1, 2, 3), int64(2), int64(9))
	f.Fuzz(func(t *testing.T, raw []byte, from, stable int64) {
		if from < 0 || stable < from {
			return
		}
		got := invisibleUntil(raw, from, stable, []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 1}})
		if got < from {
			t.Errorf("went back from %d to %d", from, got)
		}
	})
}
