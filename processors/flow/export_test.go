package flow

import (
	"github.com/fairleadio/fairlead/engine"
)

// Callbacks gives tests the group's callbacks by topic, "loop" for the loop's.
func Callbacks(w *Worker) map[string]engine.Callback {
	return map[string]engine.Callback{
		"flow.events":   engine.Typed(w.onEvent),
		"flow.commands": engine.Typed(w.onCommand),
		"loop":          engine.Typed(w.onTimer),
	}
}

// Drop and Lose are the engine's hooks.
func Drop(w *Worker, partition int32, key string) { w.onDrop(partition, key) }
func Lose(w *Worker, partition int32)             { w.onLoss(partition) }

// LiveCount is how many instances are kept.
func LiveCount(w *Worker) int {
	w.live.mu.Lock()
	defer w.live.mu.Unlock()
	return w.live.order.Len()
}
