//go:build synctests

package sim

import (
	"errors"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/engine"
)

// mutation breaks a promise that the engine relies on, from outside, to prove that the judge sees what follows:
//
//	stable   brokers answer the question for a log's uncommitted end with the last stable offset
//	offsets  brokers store one committed offset of twenty one too low
//	torn     the disk tears batches: the position arrives, one row does not
//	clock    brokers forget the metadata of offsets, and disks the clock
//	graves   brokers take tombstones away at once when they compact
//	blind    views cannot read one message of thirty
//	twice    the operator redrives one dead letter of five twice
type mutation string

func (m mutation) brokers(w *world) {
	switch m {
	case "stable":
		w.fake.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
			r.(*kmsg.ListOffsetsRequest).IsolationLevel = 1
			return nil, nil, false
		})
	case "clock":
		w.fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
			for _, t := range r.(*kmsg.TxnOffsetCommitRequest).Topics {
				for i := range t.Partitions {
					t.Partitions[i].Metadata = nil
				}
			}
			return nil, nil, false
		})
	case "offsets":
		n := 0
		w.fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
			if n++; n%20 != 0 {
				return nil, nil, false
			}
			for _, t := range r.(*kmsg.TxnOffsetCommitRequest).Topics {
				for i := range t.Partitions {
					if t.Partitions[i].Offset > 0 {
						t.Partitions[i].Offset--
					}
				}
			}
			return nil, nil, false
		})
	}
}

func (m mutation) disk(db engine.DB) engine.DB {
	switch m {
	case "torn":
		return &tornDB{DB: db}
	case "clock":
		return timelessDB{db}
	}
	return db
}

// retention is the delete.retention.ms that brokers go by.
func (m mutation) retention(d time.Duration) time.Duration {
	if m == "graves" {
		return 0
	}
	return d
}

// codec is the views'.
func (m mutation) codec() engine.Codec {
	if m == "blind" {
		return &blindCodec{}
	}
	return text{}
}

// timelessDB forgets the clock that is kept with positions.
type timelessDB struct{ engine.DB }

var clockOf = regexp.MustCompile(`"now_us":\d+`)

func (t timelessDB) Apply(b *engine.Writes) error {
	b = &engine.Writes{Ops: slices.Clone(b.Ops)}
	for i := range b.Ops {
		b.Ops[i].Value = clockOf.ReplaceAll(b.Ops[i].Value, []byte(`"now_us":0`))
	}
	return t.DB.Apply(b)
}

// blindCodec cannot read every thirtieth message.
type blindCodec struct {
	text
	n int
}

func (c *blindCodec) Decode(b []byte) (any, error) {
	if c.n++; c.n%30 == 0 {
		return nil, errors.New("blind")
	}
	return c.text.Decode(b)
}

// tornDB loses a row of every fortieth batch.
type tornDB struct {
	engine.DB
	mu sync.Mutex
	n  int
}

func (t *tornDB) Apply(b *engine.Writes) error {
	t.mu.Lock()
	t.n++
	tear := t.n%40 == 0 && len(b.Ops) > 2
	t.mu.Unlock()
	if tear {
		b = &engine.Writes{Ops: b.Ops[1:]}
	}
	return t.DB.Apply(b)
}

// times is how often the operator writes the n-th command.
func (m mutation) times(n int) int {
	if m == "twice" && n%5 == 0 {
		return 2
	}
	return 1
}
