package topics_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/topics"
)

// The vectors of Kafka's own UtilsTest.
func TestMurmur2Vectors(t *testing.T) {
	for _, c := range []struct {
		key  string
		want int32
	}{
		{"21", -973932308},
		{"foobar", -790332482},
		{"a-little-bit-long-string", -985981536},
		{"a-little-bit-longer-string", -1486304829},
		{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
		{"abc", 479470107},
	} {
		if got := int32(topics.Murmur2([]byte(c.key))); got != c.want {
			t.Errorf("Murmur2(%q) = %d, want %d", c.key, got, c.want)
		}
	}
}

func TestPartitionEqualsFranzGo(t *testing.T) {
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic("t")
	for _, n := range []int{1, 3, 12, 50} {
		for i := range 5000 {
			key := []byte(fmt.Sprintf("%0*d-A1B2C3D4E5F6", i%37, i*7919))
			want := theirs.Partition(&kgo.Record{Key: key}, n)
			if got := topics.Partition(key, n); int(got) != want {
				t.Fatalf("key %q of %d: %d, franz-go has %d", key, n, got, want)
			}
		}
	}
}
