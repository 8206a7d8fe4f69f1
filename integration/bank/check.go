package bank

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Asked is a transfer as it was produced.
type Asked struct {
	Transfer
	// Place is where the record lies: topic/partition/offset.
	Place string
}

// Found is everything that a read-committed reader finds after a run.
type Found struct {
	// Entries are the outputs, of each partition in the order of the log.
	Entries []Entry
	// Dead are the dead letters.
	Dead []DeadLetter
	// Table and Store are the folds of their changelogs; the store's keys are account/id/side.
	Table map[string]Account
	Store map[string]Entry
	// Rows is the fold of the engine's own rows, by kind: timers t, waiting records r, suspects s.
	Rows map[string]int
	// Answers are what audits said after the last transfer was settled.
	Answers []Answer
	// Backwards names places in changelogs whose time is before that of an earlier record of the partition.
	Backwards []string
}

// DeadLetter is a record of the dead-letter topic.
type DeadLetter struct {
	Source, Reason string
}

// verdict collects differences: the first of each kind, and how many there are.
type verdict struct {
	lines map[string][]string
	count map[string]int
}

func (v *verdict) say(kind, format string, args ...any) {
	v.count[kind]++
	if len(v.lines[kind]) < 5 {
		v.lines[kind] = append(v.lines[kind], fmt.Sprintf(format, args...))
	}
}

// Check compares what was asked for with what was found and returns every difference in words, nothing when all is
// well. It is pure.
func Check(asked []Asked, found Found) []string {
	v := &verdict{lines: map[string][]string{}, count: map[string]int{}}
	want := map[string]Asked{}
	for _, a := range asked {
		if _, twice := want[a.ID]; twice {
			v.say("test is wrong", "transfer %s was asked for twice", a.ID)
		}
		want[a.ID] = a
	}
	v.checkEntries(want, found.Entries)
	v.checkState(want, found)
	v.checkDead(want, found.Dead)
	v.checkAnswers(found)
	for _, b := range found.Backwards {
		v.say("time went back", "%s", b)
	}
	for kind, n := range found.Rows {
		// Suspects may stay: they are read only after an unclean end, and a range that has passed means nothing then.
		if n > 0 && kind != "s" {
			v.say("rows left over", "%d engine rows of kind %q", n, kind)
		}
	}
	var out []string
	for _, kind := range slices.Sorted(maps.Keys(v.lines)) {
		more := ""
		if n := v.count[kind] - len(v.lines[kind]); n > 0 {
			more = fmt.Sprintf("; and %d more", n)
		}
		out = append(out, kind+": "+strings.Join(v.lines[kind], "; ")+more)
	}
	return out
}

// expected returns the entries that a transfer must lead to, without balance and sequence.
func (a Asked) expected() []Entry {
	if a.Kind.Poison() || a.Kind == Audit {
		return nil
	}
	return []Entry{{ID: a.ID, Side: Debit, Account: a.From, Delta: -a.Amount}, {ID: a.ID, Side: Credit, Account: a.To, Delta: a.Amount}}
}

func (v *verdict) checkEntries(want map[string]Asked, entries []Entry) {
	seen := map[string]int{}
	last := map[string]Account{}
	for _, e := range entries {
		key := historyKey(e.Account, e.ID, e.Side)
		seen[key]++
		a, known := want[e.ID]
		isExpected := known && slices.ContainsFunc(a.expected(), func(x Entry) bool {
			return x.Side == e.Side && x.Account == e.Account && x.Delta == e.Delta
		})
		if !isExpected {
			v.say("effects that nobody asked for", "%s %+d (kind %q)", key, e.Delta, a.Kind)
		}
		before := last[e.Account]
		if e.Seq != before.Seq+1 || e.Balance != before.Balance+e.Delta {
			v.say("account out of step", "%s: entry %s has number %d and balance %d after number %d and balance %d",
				e.Account, e.ID, e.Seq, e.Balance, before.Seq, before.Balance)
		}
		last[e.Account] = Account{Balance: e.Balance, Seq: e.Seq}
	}
	for _, a := range want {
		for _, x := range a.expected() {
			switch n := seen[historyKey(x.Account, x.ID, x.Side)]; {
			case n == 0:
				v.say("effects missing", "%s of %s (%s, kind %q)", x.Side, x.ID, a.Place, a.Kind)
			case n > 1:
				v.say("effects repeated", "%s of %s (%s, kind %q) %d times", x.Side, x.ID, a.Place, a.Kind, n)
			}
		}
	}
}

// checkState compares table and store with what the transfers add up to.
func (v *verdict) checkState(want map[string]Asked, found Found) {
	table, store := map[string]Account{}, map[string]Entry{}
	for _, a := range want {
		for _, x := range a.expected() {
			row := table[x.Account]
			row.Balance += x.Delta
			row.Seq++
			table[x.Account] = row
			store[historyKey(x.Account, x.ID, x.Side)] = x
		}
	}
	compare(v, "table differs", table, found.Table, func(a, b Account) bool { return a == b })
	compare(v, "store differs", store, found.Store, func(a, b Entry) bool {
		return a.ID == b.ID && a.Side == b.Side && a.Account == b.Account && a.Delta == b.Delta
	})
}

func compare[V any](v *verdict, kind string, want, got map[string]V, same func(a, b V) bool) {
	for k, w := range want {
		if g, ok := got[k]; !ok {
			v.say(kind, "%s is missing", k)
		} else if !same(w, g) {
			v.say(kind, "%s is %+v, want %+v", k, g, w)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			v.say(kind, "%s should not be there", k)
		}
	}
}

func (v *verdict) checkDead(want map[string]Asked, dead []DeadLetter) {
	bySource := map[string]Asked{}
	for _, a := range want {
		bySource[a.Place] = a
	}
	seen := map[string]int{}
	for _, d := range dead {
		seen[d.Source]++
		switch a, known := bySource[d.Source]; {
		case !known:
			v.say("strange dead letters", "%s is not a transfer (%s)", d.Source, d.Reason)
		case !a.Kind.Poison():
			v.say("innocents in the dead letters", "%s at %s (%s)", a.ID, d.Source, d.Reason)
		case a.Kind.Reason() != d.Reason:
			v.say("dead letters with a wrong reason", "%s of kind %q says %q", a.ID, a.Kind, d.Reason)
		}
	}
	for place, a := range bySource {
		if n := seen[place]; a.Kind.Poison() && n != 1 {
			v.say("poison not in the dead letters exactly once", "%s of kind %q at %s: %d times", a.ID, a.Kind, place, n)
		}
	}
}

// checkAnswers compares what the workers have in local storage with the folds of the changelogs.
func (v *verdict) checkAnswers(found Found) {
	entries, sums := map[string]int64{}, map[string]int64{}
	for _, e := range found.Store {
		entries[e.Account]++
		sums[e.Account] += e.Delta
	}
	seen := map[string]int{}
	for _, a := range found.Answers {
		seen[a.Account]++
		row, known := found.Table[a.Account]
		if a.Known != known || a.Row != row {
			v.say("local table differs from its topic", "%s: %+v, the topic says %+v", a.Account, a.Row, row)
		}
		if a.Entries != entries[a.Account] || a.Sum != sums[a.Account] {
			v.say("local store differs from its topic", "%s: %d rows that sum to %d, the topic says %d and %d",
				a.Account, a.Entries, a.Sum, entries[a.Account], sums[a.Account])
		}
	}
	for account := range found.Table {
		if seen[account] != 1 {
			v.say("audits", "account %s answered %d times", account, seen[account])
		}
	}
}
