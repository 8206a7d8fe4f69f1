package flow

import (
	"reflect"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Callbacks gives tests the group's callbacks by topic, "loop" for the loop's.
func Callbacks(w *Worker) map[string]engine.Callback {
	return map[string]engine.Callback{
		topics.FlowEvents:              engine.Typed(w.onEvent),
		topics.FlowCommands:            engine.Typed(w.onCommand),
		topics.FlowRepliesCrypto:       engine.Typed(w.onReply),
		topics.FlowRepliesPersistence:  engine.Typed(w.onReply),
		topics.FlowRepliesUniqueness:   engine.Typed(w.onReply),
		topics.FlowRepliesTokens:       engine.Typed(w.onReply),
		topics.FlowRepliesPackages:     engine.Typed(w.onReply),
		topics.FlowRepliesVerification: engine.Typed(w.onReply),
		"loop":                         engine.Typed(w.onTimer),
	}
}

// MembersOf gives tests all members of a group.
func MembersOf(d *Directory, group string) *appv1.Members { return d.members(group, nil, nil) }

// EmittedHeaders reads the headers out of goka's options, whose argument is not exported.
func EmittedHeaders(options []goka.ContextOption) map[string]string {
	out := map[string]string{}
	arg := reflect.New(reflect.TypeFor[goka.ContextOption]().In(0).Elem())
	for _, o := range options {
		reflect.ValueOf(o).Call([]reflect.Value{arg})
	}
	for it := arg.Elem().FieldByName("emitHeaders").MapRange(); it.Next(); {
		out[it.Key().String()] = string(it.Value().Bytes())
	}
	return out
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

// Rules are the settings that decide, as of now.
func (w *Worker) Rules() Rules { return w.rules() }

// Vouched is what decides whose code a flow believes.
var Vouched = vouched
