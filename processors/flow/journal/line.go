package journal

import (
	"cmp"
	"slices"

	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Line tells which attempt each step of a flow belongs to: to that of the last segment that begins at or before the
// step. A value is never changed after it was handed over.
type Line []*flowv1.Segment

// NewLine is the line of a flow that was never retried.
func NewLine() Line { return Line{{Attempt: 1}} }

// AttemptOf returns the attempt that a step belongs to.
func (l Line) AttemptOf(step uint32) uint32 {
	for _, s := range slices.Backward(l) {
		if s.GetFromStep() <= step {
			return s.GetAttempt()
		}
	}
	return 1
}

// Cut ends the line after a step; what follows belongs to a new attempt.
func (l Line) Cut(after, attempt uint32) Line {
	kept := slices.DeleteFunc(slices.Clone(l), func(s *flowv1.Segment) bool { return s.GetFromStep() > after })
	return append(kept, &flowv1.Segment{Attempt: attempt, FromStep: after + 1})
}

// Journal is a flow's rows in memory, for those who read them from the store's topic.
type Journal struct {
	rows map[Key]*flowv1.JournalRow
	keys []Key
}

// NewJournal takes the rows of one flow.
func NewJournal(rows map[Key]*flowv1.JournalRow) *Journal {
	j := &Journal{rows: rows}
	for k := range rows {
		j.keys = append(j.keys, k)
	}
	slices.SortFunc(j.keys, compareKeys)
	return j
}

// compareKeys is the order of a flow's keys in the store.
func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Attempt, b.Attempt), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Ordinal, b.Ordinal))
}

// Len is the number of rows.
func (j *Journal) Len() int { return len(j.keys) }

// Line works out the line from the rows alone, for a reader that does not have the checkpoint: each attempt goes on
// from where its first row stands. A retry that has not reached its first step yet cannot be seen.
func (j *Journal) Line() Line {
	line := NewLine()
	for _, k := range j.keys {
		if last := line[len(line)-1].GetAttempt(); k.Attempt > last && k.Step > 0 {
			line = line.Cut(k.Step-1, k.Attempt)
		}
	}
	return line
}

// Step returns the rows of a step on a line, in the order of their ordinals; none when the line ends before.
func (j *Journal) Step(line Line, step uint32) []*flowv1.JournalRow {
	attempt := line.AttemptOf(step)
	first, _ := slices.BinarySearchFunc(j.keys, Key{Attempt: attempt, Step: step}, compareKeys)
	var rows []*flowv1.JournalRow
	for _, k := range j.keys[first:] {
		if k.Attempt != attempt || k.Step != step {
			break
		}
		rows = append(rows, j.rows[k])
	}
	return rows
}

// Last returns the last step of the line that has rows.
func (j *Journal) Last(line Line) uint32 {
	var last uint32
	for _, k := range j.keys {
		if k.Step > last && line.AttemptOf(k.Step) == k.Attempt {
			last = k.Step
		}
	}
	return last
}
