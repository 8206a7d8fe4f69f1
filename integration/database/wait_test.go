package database_test

import (
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/schemas"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	"github.com/fairleadio/fairlead/topics"
)

// producerSend sends a request and waits for no answer.
func (w *world) producerSend(id, key string, m *dbv1.Request) {
	w.t.Helper()
	m.Actor = "tester"
	w.kafka.Produce(w.t, topics.DbRequests, key, m, schemas.Codec[*dbv1.Request](), engine.HeaderRequest, id)
}

// settled is closed when an operation has ended.
func (w *world) settled(id string) <-chan struct{} {
	done := make(chan struct{})
	running := w.engine
	go func() {
		defer close(done)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-running.Done():
				return
			case <-w.t.Context().Done():
				return
			case <-tick.C:
			}
			m, ok := w.views[topics.OperationStatus].Get(id)
			if s, is := m.(*operationv1.OperationStatus); ok && is && s.GetState() >= operationv1.OperationState_OPERATION_STATE_SUCCEEDED {
				return
			}
		}
	}()
	return done
}
