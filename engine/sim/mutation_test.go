//go:build synctests

package sim

import (
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/engine"
)

// mutation breaks a promise that the engine relies on, from outside, to prove that the judge sees what follows:
//
//	stable   brokers answer the question for a log's uncommitted end with the last stable offset
//	offsets  brokers store one committed offset of twenty one too low
//	torn     the disk tears batches: the position arrives, one row does not
type mutation string

func (m mutation) brokers(w *world) {
	switch m {
	case "stable":
		w.fake.ControlKey(int16(kmsg.ListOffsets), func(r kmsg.Request) (kmsg.Response, error, bool) {
			r.(*kmsg.ListOffsetsRequest).IsolationLevel = 1
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
	if m == "torn" {
		return &tornDB{DB: db}
	}
	return db
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
