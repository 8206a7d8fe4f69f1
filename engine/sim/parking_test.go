//go:build synctests

package sim

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/engine/enginepb"
)

const (
	topicJobs  = "jobs" // worked off in batches
	topicBoard = "board"
	topicTold  = "told"
	storeState = "state"
	// keyLost is the key that in the end is parked for good.
	keyLost = "j0"
)

// Kinds of messages that fail until the argument's microsecond, and what else the parking shape knows.
const (
	opMend     = "mend"     // is poison until then
	opMendLate = "mendlate" // the same, and has written before it says so
	opMendFall = "mendfall" // panics until then
	opWait     = "wait"     // asks to be tried again until then
	opWaitLate = "waitlate" // the same, and has written before
	opDeadly   = "deadly"   // kills its process until then
	opNever    = "never"    // is poison for ever
)

// mends tells of a message that ends in the dead letters (once or more often), for what reason, and whether it is worth
// redriving.
func (m message) mends() (reason string, worth bool) {
	switch m.op {
	case opMend, opMendLate:
		return "refused", true
	case opMendFall:
		return "panic", true
	case opDeadly:
		return "kills its process", true
	case opNever:
		return "refused", false
	case opBroken:
		return "undecodable", false
	}
	return "", true
}

// work is what both inputs of the shape do with a message.
func work(ctx engine.Context, raw string, kill func()) error {
	m := parseMessage(raw)
	early := false
	if m.arg != "" {
		until, err := strconv.ParseInt(m.arg, 10, 64)
		if err != nil {
			return engine.Poison("argument of %s: %w", m, err)
		}
		early = time.Now().UnixMicro() < until
	}
	if early && (m.op == opMend || m.op == opWait) {
		if m.op == opMend {
			return engine.Poison("not mended yet: %s", m.id)
		}
		return engine.Retry(0, errors.New("not yet"))
	}
	if m.op == opNever {
		return engine.Poison("never")
	}
	if m.op == opNothing {
		return nil
	}
	var s state
	if v := ctx.Store(storeState).Get([]byte(ctx.Key())); v != nil {
		s = parseState(string(v))
	}
	s = state{s.n + 1, chainOf(s.chain, m.id)}
	ctx.Store(storeState).Set([]byte(ctx.Key()), []byte(s.String()))
	seen := []byte(ctx.Key() + "/" + m.id)
	if ctx.Store(storeSeen).Get(seen) != nil {
		ctx.Emit(topicOut, ctx.Key(), "twice "+m.id)
	}
	ctx.Store(storeSeen).Set(seen, []byte(strconv.Itoa(s.n)))
	last := ctx.Store(storeLast)
	last.Set(lastKey(ctx.Key(), s.n), []byte(m.id))
	if s.n > 3 {
		last.Delete(lastKey(ctx.Key(), s.n-3))
	}
	ctx.Emit(topicOut, ctx.Key(), fmt.Sprintf("%s %s", m.id, s))
	ctx.Emit(topicBoard, ctx.Key(), s.String())
	if early {
		switch m.op {
		case opMendLate:
			return engine.Poison("not mended yet: %s", m.id)
		case opMendFall:
			panic("not mended yet: " + m.id)
		case opWaitLate:
			return engine.Retry(0, errors.New("not yet"))
		case opDeadly:
			kill()
		}
	}
	return nil
}

func newParkingGraph(kill func()) *engine.Graph {
	return engine.Define(group,
		engine.Batch(topicJobs, text{}, engine.BatchOptions{}, func(_ context.Context, items []engine.Item[string]) []error {
			out := make([]error, len(items))
			for i, it := range items {
				if out[i] = work(it.Context, it.Msg, kill); out[i] == nil && it.Offset()%2 == 0 {
					it.Settle() // whatever those after it do
				}
			}
			return out
		}),
		engine.Input(topicIn, text{}, engine.Typed(func(ctx engine.Context, raw string) error { return work(ctx, raw, kill) })),
		engine.OnDeadLetter(func(ctx engine.Context, _ any, reason string, _ error) error {
			ctx.Emit(topicTold, ctx.Key(), ctx.Cause().String()+" "+reason)
			return nil
		}),
		engine.ParkKeys(),
		engine.Store(storeSeen), engine.Store(storeLast), engine.Store(storeState),
		goka.Output(topicOut, text{}), goka.Output(topicBoard, text{}), goka.Output(topicTold, text{}),
	)
}

// drawParking draws a message of the parking shape.
func drawParking(l *loader, id string) line {
	r := l.draw
	out := line{topicJobs, fmt.Sprintf("j%d", r.intn(8)), message{op: opAdd, id: id}}
	if r.chance(30) {
		out.topic, out.key = topicIn, fmt.Sprintf("k%d", r.intn(5))
	}
	until := func(low, high time.Duration) string {
		return fmt.Sprint(time.Now().Add(r.between(low, high)).UnixMicro())
	}
	switch p := r.intn(100); {
	case p < 55:
	case p < 62:
		out.op, out.arg = opWait, until(0, 8*time.Second)
	case p < 66:
		out.op, out.arg = opWaitLate, until(0, 4*time.Second)
	case p < 72:
		out.op, out.arg = opMend, until(0, 15*time.Second)
	case p < 75:
		out.op, out.arg = opMendLate, until(0, 10*time.Second)
	case p < 78:
		out.op, out.arg = opMendFall, until(0, 10*time.Second)
	case p < 84:
		out.op = opNothing
	default:
		switch {
		case l.w.settings.killer && !l.killer && out.key != keyLost:
			l.killer = true
			out.op, out.arg = opDeadly, until(5*time.Second, 30*time.Second)
		case out.key == keyLost && !l.lost && l.next > l.w.settings.records/2:
			l.lost = true
			out.op = pick(r, []string{opNever, opBroken})
		}
	}
	return out
}

// toRedrive returns dead letters that somebody has yet to redrive; mu is held.
func (o *observer) toRedrive() []*kgo.Record {
	if !o.w.shape.operator {
		return nil
	}
	done := map[string]int{}
	for _, records := range o.data[engine.LoopTopic(group)] {
		for _, r := range records {
			if from := headerOf(r, engine.HeaderDLQSource); from != "" {
				done[from]++
			}
		}
	}
	var out []*kgo.Record
	for _, records := range o.data[engine.DeadLetterTopic(group)] {
		for _, r := range records {
			from := headerOf(r, engine.HeaderDLQSource)
			if done[from]--; done[from] >= 0 {
				continue
			}
			if _, worth := parseMessage(string(r.Value)).mends(); worth {
				out = append(out, r)
			}
		}
	}
	return out
}

// redriveAll is an operator who now and then redrives what lies in the dead letters. Nothing is redriven twice: whether
// a command that was refused is there all the same is looked up before the next.
func (w *world) redriveAll(ctx context.Context) {
	r := newRNG(w.seed, "operator")
	cl, err := kgo.NewClient(append(w.outside("operator"), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		w.fail("start operator: %v", err)
		return
	}
	defer cl.Close()
	for n := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(r.between(time.Second, 8*time.Second)):
		}
		if !w.watch.sees(engine.LoopTopic(group)) {
			continue
		}
		w.watch.mu.Lock()
		dead := w.watch.toRedrive()
		w.watch.mu.Unlock()
		for _, d := range dead {
			if r.chance(30) {
				continue
			}
			n++
			for range w.mutation.times(n) {
				rec := engine.Redrive(group, d)
				rec.Topic = w.settings.prefix + rec.Topic
				if err := cl.ProduceSync(ctx, rec).FirstErr(); err != nil {
					break
				}
				w.tally(func(c *count) { c.Redriven++ })
			}
		}
	}
}

// sees tells whether the observer has seen all of a topic.
func (o *observer) sees(topic string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for p, info := range o.w.fake.PartitionInfos(o.w.settings.prefix + topic) {
		if o.next[topic][p] < info.HighWatermark {
			return false
		}
	}
	return true
}

// judgeParking judges the parking shape: what was parked and redriven has its effect in its place, so each key's chain
// is the fold of its input, as if nothing had ever failed.
func judgeParking(w *world) {
	chains, behind := map[string][]string{}, []string(nil)
	lost := false
	for _, topic := range w.shape.inputs {
		for _, records := range w.watch.data[topic] {
			for _, r := range records {
				key, m := string(r.Key), parseMessage(string(r.Value))
				if _, worth := m.mends(); !worth {
					lost = true
					continue
				}
				if key == keyLost && lost {
					behind = append(behind, string(r.Value))
					continue
				}
				if m.op != opNothing {
					chains[key] = append(chains[key], m.id)
				}
			}
		}
	}
	w.judgeLetters()
	w.judgeSteps(chains)
	w.judgeStores(chains)
	w.judgeParked(lost, behind)
}

// judgeLetters checks the dead letters: each for a good reason, told of once, and redriven as often as it came.
func (w *world) judgeLetters() {
	dead, told, redriven := map[string]int{}, map[string]int{}, map[string]int{}
	for _, records := range w.watch.data[topicTold] {
		for _, r := range records {
			told[string(r.Value)]++
		}
	}
	for _, records := range w.watch.data[engine.LoopTopic(group)] {
		for _, r := range records {
			if from := headerOf(r, engine.HeaderDLQSource); from != "" {
				redriven[from]++
			}
		}
	}
	hopeless := map[string]bool{}
	for _, records := range w.watch.data[engine.DeadLetterTopic(group)] {
		for _, r := range records {
			w.count.DeadLetters++
			from, reason := headerOf(r, engine.HeaderDLQSource), headerOf(r, engine.HeaderDLQReason)
			dead[from]++
			told[from+" "+reason]--
			m := parseMessage(string(r.Value))
			want, worth := m.mends()
			hopeless[from] = !worth
			switch {
			case reason == want:
			case reason == "kills its process" && w.count.Deaths+w.count.Crashes >= 3:
				w.count.Blamed++
			default:
				w.fail("%s (%s) was dead-lettered as %q: %s", from, m.op, reason, headerOf(r, engine.HeaderDLQError))
			}
		}
	}
	for from, n := range dead {
		if want := n; hopeless[from] && (n != 1 || redriven[from] != 0) || !hopeless[from] && redriven[from] != want {
			w.fail("%s was dead-lettered %d times and redriven %d times", from, n, redriven[from])
		}
	}
	for what, n := range told {
		if n != 0 {
			w.fail("dead letter %s was told of %d times more often than it came", what, n)
		}
	}
}

// judgeSteps checks output, board and the state's changelog against the expected steps of the keys.
func (w *world) judgeSteps(want map[string][]string) {
	collect := func(topic string) map[string][]string {
		out := map[string][]string{}
		for _, records := range w.watch.data[topic] {
			for _, r := range records {
				out[string(r.Key)] = append(out[string(r.Key)], string(r.Value))
			}
		}
		return out
	}
	out, board, rows := collect(topicOut), collect(topicBoard), collect(engine.StoreTopic(group, storeState))
	for key, ids := range want {
		var s state
		var steps, states []string
		for _, id := range ids {
			s = state{s.n + 1, chainOf(s.chain, id)}
			steps, states = append(steps, fmt.Sprintf("%s %s", id, s)), append(states, s.String())
		}
		for what, d := range map[string][2][]string{"output": {steps, out[key]}, "board": {states, board[key]}, "changelog": {states, rows[key]}} {
			if !slices.Equal(d[0], d[1]) {
				w.fail("%s of %s: %s", what, key, difference(d[0], d[1]))
			}
		}
		delete(out, key)
		delete(board, key)
		delete(rows, key)
	}
	for what, m := range map[string]map[string][]string{"output": out, "board": board, "changelog": rows} {
		for key, got := range m {
			w.fail("%s of %s, which should have none: %v", what, key, got)
		}
	}
}

// judgeParked checks that behind a record that nobody mends its key's later records wait, all of them and in order.
func (w *world) judgeParked(lost bool, behind []string) {
	rows := fold(w.watch.data[engine.RowsTopic(group)][partitionOf(keyLost)])
	marks, queue := 0, []string(nil)
	for k := range rows {
		if rowOwner(k) != keyLost || k[0] == 's' {
			continue
		}
		switch k[0] {
		case 'p':
			marks++
		case 'r':
			queue = append(queue, k)
		default:
			w.fail("engine row %q of a key without timers", k)
		}
	}
	slices.Sort(queue)
	var got []string
	for _, k := range queue {
		row := &enginepb.RetryRow{}
		if err := proto.Unmarshal(rows[k].Value, row); err != nil {
			w.fail("engine row %q: %v", k, err)
			continue
		}
		got = append(got, string(row.Record.Value))
	}
	if lost != (marks == 1) || !slices.Equal(got, behind) {
		w.fail("key %s: %d marks, want %v; behind it %s", keyLost, marks, lost, difference(behind, got))
	}
}

// judgeViews checks that the view of each process that runs is the fold of its topic.
func (w *world) judgeViews() {
	if w.shape.board == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for _, n := range w.nodes {
		for l := n.settled(ctx); ; l = n.settled(ctx) {
			if l == nil {
				w.fail("node %s does not run in the end", n.id)
				break
			}
			if err := w.judgeView(ctx, l); err == nil {
				break
			} else if ctx.Err() != nil || !l.over() {
				w.fail("node %s: view does not get on: %v", l.name(), err)
				break
			}
			time.Sleep(time.Second) // a stop of the last moment took it: its successor is asked
		}
	}
}

// over tells whether the process has ended.
func (l *life) over() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// judgeView checks a process's view. The error is that of waiting for it, the process's end among them.
func (w *world) judgeView(ctx context.Context, l *life) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel()
	watch.Go(func() {
		select {
		case <-l.ended:
			cancel()
		case <-ctx.Done():
		}
	})
	want := map[string]string{}
	for p := range int32(partitions) {
		w.watch.mu.Lock()
		next, records := w.watch.next[w.shape.board][p], w.watch.data[w.shape.board][p]
		for k, r := range fold(records) {
			want[k] = string(r.Value)
		}
		w.watch.mu.Unlock()
		if next == 0 {
			continue
		}
		if err := l.view.WaitOffset(ctx, p, next-1); err != nil {
			return err
		}
	}
	for k, m := range l.view.All() {
		if want[k] != m {
			w.fail("node %s: view shows %v under %s, the topic says %q", l.name(), m, k, want[k])
		}
		delete(want, k)
	}
	if len(want) > 0 {
		w.fail("node %s: view lacks %s", l.name(), strings.Join(sortedKeys(want), ", "))
	}
	w.tally(func(c *count) { c.Views++ })
	return nil
}

// settled waits for a process that stays: the last one may still be stopping, or the next one not have begun.
func (n *node) settled(ctx context.Context) *life {
	for ctx.Err() == nil {
		n.boot()
		if l := n.current(); l != nil {
			l.mu.Lock()
			stays := !l.leaving && !l.dead
			l.mu.Unlock()
			if stays {
				return l
			}
		}
		time.Sleep(time.Second)
	}
	return nil
}

func sortedKeys(m map[string]string) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
