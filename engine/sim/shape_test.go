//go:build synctests

package sim

import (
	"slices"

	"github.com/fairleadio/fairlead/engine"
)

// shape is a kind of group: what it is made of, what it is fed, and what must come of it.
type shape struct {
	name    string
	inputs  []string
	outputs []string
	table   bool
	stores  []string
	// board is the output that is compacted and shown by a view beside each engine; empty for none.
	board string
	// operator says that somebody redrives dead letters, clocks that wall clocks jump.
	operator, clocks bool

	graph func(kill func()) *engine.Graph
	draw  func(l *loader, id string) line
	judge func(w *world)
	// stays tells of a key that stays parked in the end.
	stays func(key string) bool
}

// topics are all topics of the group, without prefix.
func (s *shape) topics() []string {
	own := []string{engine.LoopTopic(group), engine.DeadLetterTopic(group)}
	return slices.Concat(s.inputs, s.outputs, own, s.changelogs())
}

func (s *shape) changelogs() []string {
	var out []string
	if s.table {
		out = append(out, engine.TableTopic(group))
	}
	for _, name := range s.stores {
		out = append(out, engine.StoreTopic(group, name))
	}
	return append(out, engine.RowsTopic(group))
}

// compacted are the topics that are.
func (s *shape) compacted() []string {
	if s.board == "" {
		return s.changelogs()
	}
	return append(s.changelogs(), s.board)
}

// chains is the first shape: a table, stores, timers, retries, the loop, dead letters.
var chains = &shape{
	name: "chains", inputs: []string{topicIn}, outputs: []string{topicOut, topicRung}, table: true,
	stores: []string{storeSeen, storeTimer, storeLast},
	graph:  newGraph, draw: drawChain, judge: judgeChain, stays: func(string) bool { return false },
}

// parking is the second: records worked off in batches, keys that are parked and redriven, a view beside each engine,
// wall clocks that jump.
var parking = &shape{
	name: "parking", inputs: []string{topicJobs, topicIn}, outputs: []string{topicOut, topicBoard, topicTold},
	stores: []string{storeSeen, storeLast, storeState}, board: topicBoard, operator: true, clocks: true,
	graph: newParkingGraph, draw: drawParking, judge: judgeParking, stays: func(key string) bool { return key == keyLost },
}
