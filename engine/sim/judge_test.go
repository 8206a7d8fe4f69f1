//go:build synctests

package sim

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
)

// judge compares what is there with what the input says should be there.
func (w *world) judge() {
	w.shape.judge(w)
	w.judgeDisks()
	w.judgeClock()
	for _, topic := range w.shape.inputs {
		for p, records := range w.watch.data[topic] {
			w.count.Inputs += len(records)
			for _, r := range records {
				if int32(p) != partitionOf(string(r.Key)) {
					w.fail("input %s lies in partition %d", r.Key, p)
				}
			}
		}
	}
	for _, records := range w.watch.data[topicOut] {
		w.count.Outputs += len(records)
	}
}

// judgeClock checks that a partition's time never goes back.
func (w *world) judgeClock() {
	for _, topic := range w.shape.changelogs() {
		for p, records := range w.watch.data[topic] {
			last := int64(0)
			for _, r := range records {
				now, err := strconv.ParseInt(headerOf(r, engine.HeaderNow), 10, 64)
				if err != nil {
					continue // written ahead of a transaction, which has no time yet
				}
				if now < last {
					w.fail("%s/%d/%d: now is %d after %d", topic, p, r.Offset, now, last)
				}
				last = now
			}
		}
	}
}

// judgeChain judges the first shape.
func judgeChain(w *world) {
	dead := w.judgeDeadLetters()
	chains, loops := w.expect(dead)
	w.judgeChains("in", chains, topicIn)
	w.judgeChains("loop", loops, engine.LoopTopic(group))
	w.judgeStores(chains, loops)
	w.judgeTimers(dead)
}

func place(topic string, r *kgo.Record) string {
	return engine.Cause{Topic: topic, Partition: r.Partition, Offset: r.Offset}.String()
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// judgeDeadLetters checks that what must die died, once and for the right reason, and returns the places of all that
// did.
func (w *world) judgeDeadLetters() map[string]bool {
	dead := map[string]bool{}
	for _, records := range w.watch.data[engine.DeadLetterTopic(group)] {
		for _, r := range records {
			from, reason := headerOf(r, engine.HeaderDLQSource), headerOf(r, engine.HeaderDLQReason)
			if dead[from] {
				w.fail("%s was dead-lettered twice", from)
			}
			dead[from] = true
			w.count.DeadLetters++
			m := parseMessage(string(r.Value))
			want, ok := m.dies()
			if ok && reason == want {
				continue
			}
			// Who is in hand at three deaths in a row is not run again, rightly or not.
			if reason == "kills its process" && w.count.Deaths+w.count.Crashes >= 3 {
				w.count.Blamed++
				continue
			}
			w.fail("%s (%s) was dead-lettered as %q: %s", from, m.op, reason, headerOf(r, engine.HeaderDLQError))
		}
	}
	for _, records := range w.watch.data[topicIn] {
		for _, r := range records {
			m := parseMessage(string(r.Value))
			if _, ok := m.dies(); ok && !dead[place(topicIn, r)] {
				w.fail("%s (%s) is not among the dead letters", place(topicIn, r), m.op)
			}
		}
	}
	return dead
}

// step is one effect that an input must have: the id under its key.
type step struct{ key, id string }

// expect folds the input: the steps of each key, in order, for records of the input and of the loop.
func (w *world) expect(dead map[string]bool) (chains, loops map[string][]string) {
	chains, loops = map[string][]string{}, map[string][]string{}
	loopOf := map[string]string{} // id to key
	for _, records := range w.watch.data[topicIn] {
		for _, r := range records {
			m := parseMessage(string(r.Value))
			if dead[place(topicIn, r)] || m.op == opNothing {
				continue
			}
			key := string(r.Key)
			chains[key] = append(chains[key], m.id)
			if m.op == opLoop {
				loopOf[m.id] = "L" + key
				if _, gone := loops["L"+key]; !gone {
					loops["L"+key] = nil
				}
			}
		}
	}
	// What the input sent into the loop must have arrived there, in order and once; the loop's own dead letters are
	// taken off behind that.
	arrived := map[string][]string{}
	for _, records := range w.watch.data[engine.LoopTopic(group)] {
		for _, r := range records {
			m := parseMessage(string(r.Value))
			if m.op != opLoop {
				continue
			}
			key := string(r.Key)
			arrived[key] = append(arrived[key], m.id)
			if loopOf[m.id] != key {
				w.fail("loop record %s under %s comes from nowhere", m.id, key)
			}
			if !dead[place(engine.LoopTopic(group), r)] {
				loops[key] = append(loops[key], m.id)
			}
		}
	}
	for key := range loops {
		var want []string
		for _, id := range chains[key[1:]] {
			if loopOf[id] == key {
				want = append(want, id)
			}
		}
		if !slices.Equal(want, arrived[key]) {
			w.fail("loop of %s: %s", key, difference(want, arrived[key]))
		}
	}
	return chains, loops
}

// judgeChains checks output, table changelog and table against the expected steps of the keys.
func (w *world) judgeChains(what string, want map[string][]string, topic string) {
	out := map[string][]string{}
	for _, records := range w.watch.data[topicOut] {
		for _, r := range records {
			if strings.HasPrefix(headerOf(r, engine.HeaderCause), topic+"/") {
				out[string(r.Key)] = append(out[string(r.Key)], string(r.Value))
			}
		}
	}
	rows := map[string][]string{}
	for _, records := range w.watch.data[engine.TableTopic(group)] {
		for _, r := range records {
			if isLoop := strings.HasPrefix(string(r.Key), "L"); isLoop == (what == "loop") {
				v, _, _ := strings.Cut(string(r.Value), "|")
				rows[string(r.Key)] = append(rows[string(r.Key)], v)
			}
		}
	}
	for key, ids := range want {
		var s state
		var wantOut, wantRows []string
		for _, id := range ids {
			s = state{s.n + 1, chainOf(s.chain, id)}
			wantOut = append(wantOut, fmt.Sprintf("%s %s", id, s))
			wantRows = append(wantRows, s.String())
		}
		if !slices.Equal(out[key], wantOut) {
			w.fail("output of %s: %s", key, difference(wantOut, out[key]))
		}
		if !slices.Equal(rows[key], wantRows) {
			w.fail("changelog of %s: %s", key, difference(wantRows, rows[key]))
		}
		delete(out, key)
		delete(rows, key)
	}
	for key, got := range out {
		w.fail("output of %s, which should have none: %v", key, got)
	}
	for key, got := range rows {
		w.fail("changelog of %s, which should have none: %v", key, got)
	}
}

// judgeStores checks that the stores hold what the steps put there and nothing else.
func (w *world) judgeStores(chains ...map[string][]string) {
	seen, last := map[string]string{}, map[string]string{}
	for _, m := range chains {
		for key, ids := range m {
			for i, id := range ids {
				seen[key+"/"+id] = strconv.Itoa(i + 1)
				if i >= len(ids)-3 {
					last[string(lastKey(key, i+1))] = id
				}
			}
		}
	}
	w.judgeFold(engine.StoreTopic(group, storeSeen), seen)
	w.judgeFold(engine.StoreTopic(group, storeLast), last)
}

func (w *world) judgeFold(topic string, want map[string]string) {
	for p, records := range w.watch.data[topic] {
		for k, r := range fold(records) {
			key, _, _ := strings.Cut(k, "/")
			if want[k] != string(r.Value) || partitionOf(key) != int32(p) {
				w.fail("%s/%d: row %s is %q, want %q", topic, p, k, r.Value, want[k])
			}
			delete(want, k)
		}
	}
	for k, v := range want {
		w.fail("%s: row %s (%s) is missing", topic, k, v)
	}
}

// judgeTimers checks that every timer rang once, but for those that were cancelled before they were due.
func (w *world) judgeTimers(dead map[string]bool) {
	rung, cancelled, wide := map[string][]int64{}, map[string]int64{}, map[string]int{}
	for p, records := range w.watch.data[topicRung] {
		for _, r := range records {
			m := parseMessage(string(r.Value))
			n, err := strconv.ParseInt(m.arg, 10, 64)
			if err != nil {
				w.fail("record %q in %s", r.Value, topicRung)
			}
			switch m.op {
			case "rung":
				rung[m.id] = append(rung[m.id], n)
			case "cancelled":
				cancelled[m.id] = n
			case "wide":
				wide[m.id]++
				if int32(p) != (partitionOf(string(r.Key))+1)%partitions {
					w.fail("%s was written to partition %d", r.Value, p)
				}
			}
		}
	}
	store := map[string]string{}
	lost := map[string]bool{} // rings that were dead-lettered on their way through the loop
	for _, records := range w.watch.data[engine.LoopTopic(group)] {
		for _, r := range records {
			if m := parseMessage(string(r.Value)); m.op == "ring" && dead[place(engine.LoopTopic(group), r)] {
				lost[m.id] = true
			}
		}
	}
	for _, records := range w.watch.data[topicIn] {
		for _, r := range records {
			m := parseMessage(string(r.Value))
			if dead[place(topicIn, r)] {
				continue
			}
			want := 0
			switch m.op {
			case opTimer, opMove:
				want = 1
			case opCancel:
				want = 1
				if at, ok := cancelled[m.id]; ok {
					want = 0
					if len(rung[m.id]) == 1 && rung[m.id][0]+1 >= at-int64(2*60*1e6) {
						want = 1 // it was due before it was cancelled
					}
				}
			case opWide:
				if wide[m.id] != 1 {
					w.fail("%s wrote %d records to another partition", m, wide[m.id])
				}
			}
			if lost[m.id] {
				want = 0
			}
			if len(rung[m.id]) != want {
				w.fail("timer %s rang %d times, want %d", m, len(rung[m.id]), want)
			}
			w.count.Timers += len(rung[m.id])
			if want == 1 {
				store[string(r.Key)+"/"+m.id] = "1"
			}
			delete(rung, m.id)
		}
	}
	for id, at := range rung {
		w.fail("timer %s rang at %v and belongs to no input", id, at)
	}
	w.judgeFold(engine.StoreTopic(group, storeTimer), store)
}

// judgeDisks checks that every disk that is left holds the fold of its changelogs up to the offset stored with it.
func (w *world) judgeDisks() {
	for _, k := range w.kept {
		disk, err := snapshot(k.d)
		if err != nil {
			w.fail("disk of %s: %v", k.name, err)
			continue
		}
		w.count.Disks++
		for _, topic := range w.shape.changelogs() {
			for p := range int32(partitions) {
				w.judgeDisk(k.name, disk, topic, p)
			}
		}
	}
}

// judgeDisk knows the layout of local storage: topic, a zero byte, the partition; 'd' and the key hold a row, 'm' the
// position.
func (w *world) judgeDisk(name string, disk *rows, topic string, p int32) {
	prefix := string(binary.BigEndian.AppendUint32(append([]byte(w.settings.prefix+topic), 0), uint32(p)))
	have := map[string]string{}
	disk.Ascend(prefix+"d", func(k string, v []byte) bool {
		if !strings.HasPrefix(k, prefix+"d") {
			return false
		}
		have[k[len(prefix)+1:]] = string(v)
		return true
	})
	meta, ok := disk.Get(prefix + "m")
	if !ok {
		if len(have) > 0 {
			w.fail("disk of %s: %s/%d holds %d rows and no position", name, topic, p, len(have))
		}
		return
	}
	var at struct {
		Position int64 `json:"position"`
	}
	if err := json.Unmarshal(meta, &at); err != nil {
		w.fail("disk of %s: position of %s/%d: %v", name, topic, p, err)
		return
	}
	records := w.watch.data[topic][p]
	n, _ := slices.BinarySearchFunc(records, at.Position, func(r *kgo.Record, o int64) int { return int(r.Offset - o) })
	if next := w.watch.next[topic][p]; at.Position > next {
		w.fail("disk of %s: %s/%d stands at %d, the log ends at %d", name, topic, p, at.Position, next)
	}
	for k, r := range fold(records[:n]) {
		if v, ok := have[k]; (!ok || v != string(r.Value)) && !w.compactedAway(topic, p, k, at.Position) {
			w.fail("disk of %s: %s/%d at %d: row %q is %.60q, the log says %.60q (offset %d)", name, topic, p, at.Position, k, v, r.Value, r.Offset)
		}
		delete(have, k)
	}
	for k, v := range have {
		if w.compactedAway(topic, p, k, at.Position) {
			continue
		}
		w.fail("disk of %s: %s/%d at %d: row %q is %.60q, the log has none", name, topic, p, at.Position, k, v)
	}
}

// compactedAway tells whether a reader that stands at a position may not know of a key's newest record before it: a
// compaction took that away for one behind the position, at which the reader has yet to arrive.
func (w *world) compactedAway(topic string, p int32, key string, position int64) bool {
	for _, r := range w.watch.data[topic][p] {
		if r.Offset >= position && r.Offset < w.watch.compacted[topic][p] && string(r.Key) == key {
			return true
		}
	}
	return false
}

// difference shows where two lists part.
func difference(want, got []string) string {
	i := 0
	for i < len(want) && i < len(got) && want[i] == got[i] {
		i++
	}
	show := func(l []string) string { return strings.Join(l[min(i, len(l)):min(i+3, len(l))], ", ") }
	return fmt.Sprintf("%d of %d; after %d equal ones: want [%s], got [%s]", len(got), len(want), i, show(want), show(got))
}

// partitionOf is Kafka's murmur2 partitioner.
func partitionOf(key string) int32 {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("")
	return int32(p.Partition(&kgo.Record{Key: []byte(key)}, partitions))
}
