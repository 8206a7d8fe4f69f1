package engine

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// The vectors are those of Kafka's own UtilsTest.
func TestMurmur2(t *testing.T) {
	for key, want := range map[string]int32{
		"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string":                       -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	} {
		if got := int32(murmur2([]byte(key))); got != want {
			t.Errorf("murmur2(%q) = %d, want %d", key, got, want)
		}
	}
}

func TestHasherAgreesWithTheProducer(t *testing.T) {
	part := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for i := range 1000 {
		key := []byte{byte(i), byte(i >> 8), byte(i * 7), byte(i * 31), byte(i * 3)}[:1+i%5]
		h := NewHasher()
		_, _ = h.Write(key) // never fails
		if got, want := int(h.Sum32())%12, part.Partition(&kgo.Record{Key: key}, 12); got != want {
			t.Fatalf("key %x: hasher says %d, producer %d", key, got, want)
		}
	}
}
