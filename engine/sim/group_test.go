//go:build synctests

package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
)

// The group under test. A message is "<op> <id> <argument>"; ids are unique, so that every effect can be told from
// every other.
const (
	group      = "sim"
	topicIn    = "in"
	topicOut   = "out"
	topicRung  = "rung"
	storeSeen  = "seen"
	storeTimer = "timers"
	storeLast  = "last"
	partitions = 4
)

// The kinds of messages. All but the last five have the common effect: the key's chain grows by one.
const (
	opAdd      = "add"     // only the common effect
	opTimer    = "timer"   // sets a timer that rings after the argument's milliseconds
	opMove     = "move"    // sets a timer and moves it
	opCancel   = "cancel"  // sets a timer; the argument names an older timer of the key to cancel
	opLoop     = "loop"    // sends itself into the loop, under another key
	opWide     = "wide"    // also writes to another partition, explicitly
	opBig      = "big"     // writes a large value
	opRetry    = "retry"   // is refused until the argument's microsecond
	opNothing  = "nothing" // writes nothing
	opPoison   = "poison"
	opPanic    = "panic"
	opBroken   = "!broken"  // cannot be decoded
	opHopeless = "hopeless" // is refused for ever
	opKiller   = "killer"   // kills its process
)

type message struct{ op, id, arg string }

func (m message) String() string { return m.op + " " + m.id + " " + m.arg }

func parseMessage(s string) message {
	parts := strings.SplitN(s, " ", 3)
	for len(parts) < 3 {
		parts = append(parts, "")
	}
	return message{parts[0], parts[1], parts[2]}
}

// dies tells whether a message ends in the dead letters, and for what reason.
func (m message) dies() (reason string, ok bool) {
	switch m.op {
	case opPoison:
		return "refused", true
	case opPanic:
		return "panic", true
	case opBroken:
		return "undecodable", true
	case opHopeless:
		return "retries exhausted", true
	case opKiller:
		return "kills its process", true
	}
	return "", false
}

// text is a codec of strings that refuses those that start with '!'.
type text struct{}

func (text) Encode(v any) ([]byte, error) { return []byte(v.(string)), nil }

func (text) Decode(b []byte) (any, error) {
	if strings.HasPrefix(string(b), "!") {
		return nil, errors.New("starts with '!'")
	}
	return string(b), nil
}

// link grows a chain by one id: any loss, repetition or change of order changes all that follows.
func chainOf(chain uint64, id string) uint64 { return mix(chain, mixString(id)) }

type state struct {
	n     int
	chain uint64
}

func (s state) String() string { return fmt.Sprintf("%d %x", s.n, s.chain) }

func parseState(v any) state {
	raw, ok := v.(string)
	if !ok {
		return state{}
	}
	raw, _, _ = strings.Cut(raw, "|")
	var s state
	if _, err := fmt.Sscanf(raw, "%d %x", &s.n, &s.chain); err != nil {
		panic(fmt.Sprintf("table row %q: %v", raw, err))
	}
	return s
}

// grow is the common effect of a message: table, output, and two stores, one of them with deletions.
func grow(ctx engine.Context, m message, value string) state {
	s := parseState(ctx.Value())
	s = state{s.n + 1, chainOf(s.chain, m.id)}
	ctx.SetValue(s.String() + value)
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
	return s
}

func lastKey(key string, n int) []byte { return fmt.Appendf(nil, "%s/%06d", key, n) }

// newGraph builds the group for one process; kill ends that process.
func newGraph(kill func()) *engine.Graph {
	return engine.Define(group,
		engine.Input(topicIn, text{}, engine.Typed(func(ctx engine.Context, raw string) error {
			m := parseMessage(raw)
			switch m.op {
			case opNothing:
				return nil
			case opKiller:
				grow(ctx, m, "")
				kill()
				return nil
			case opPoison:
				grow(ctx, m, "")
				return engine.Poison("poison %s", m.id)
			case opPanic:
				grow(ctx, m, "")
				panic("panic " + m.id)
			case opHopeless:
				grow(ctx, m, "")
				return engine.Retry(50*time.Millisecond, errors.New("never"))
			case opRetry:
				until, err := strconv.ParseInt(m.arg, 10, 64)
				if err != nil {
					return engine.Poison("argument of %s: %w", m, err)
				}
				grow(ctx, m, "")
				if time.Now().UnixMicro() < until {
					return engine.Retry(0, errors.New("not yet"))
				}
				return nil
			}
			value := ""
			if m.op == opBig {
				value = "|" + strings.Repeat(m.id, 4000)
			}
			s := grow(ctx, m, value)
			switch m.op {
			case opTimer:
				ms, err := strconv.Atoi(m.arg)
				if err != nil {
					return engine.Poison("argument of %s: %w", m, err)
				}
				ctx.SetTimer(m.id, ctx.Now().Add(time.Duration(ms)*time.Millisecond), "ring "+m.id)
			case opMove:
				ctx.SetTimer(m.id, ctx.Now().Add(time.Hour), "ring wrong")
				ctx.SetTimer(m.id, ctx.Now().Add(2*time.Second), "ring "+m.id)
			case opCancel:
				ctx.SetTimer(m.id, ctx.Now().Add(2*time.Minute), "ring "+m.id)
				if m.arg != "" {
					ctx.CancelTimer(m.arg)
					ctx.Emit(topicRung, ctx.Key(), fmt.Sprintf("cancelled %s %d", m.arg, ctx.Now().UnixMicro()))
				}
			case opLoop:
				ctx.Loopback("L"+ctx.Key(), "loop "+m.id)
			case opWide:
				to := (ctx.Partition() + 1) % partitions
				ctx.Emit(topicRung, ctx.Key(), fmt.Sprintf("wide %s %d", m.id, s.n), engine.ToPartition(to))
			}
			return nil
		})),
		engine.Loop(text{}, engine.Typed(func(ctx engine.Context, raw string) error {
			m := parseMessage(raw)
			switch m.op {
			case opLoop:
				grow(ctx, m, "")
			case "ring":
				k := []byte(ctx.Key() + "/" + m.id)
				n := 1
				if v := ctx.Store(storeTimer).Get(k); v != nil {
					n, _ = strconv.Atoi(string(v))
					n++
				}
				ctx.Store(storeTimer).Set(k, []byte(strconv.Itoa(n)))
				ctx.Emit(topicRung, ctx.Key(), fmt.Sprintf("rung %s %d", m.id, ctx.Now().UnixMicro()))
			}
			return nil
		})),
		engine.Store(storeSeen), engine.Store(storeTimer), engine.Store(storeLast),
		goka.Output(topicOut, text{}), goka.Output(topicRung, text{}),
		goka.Persist(text{}),
	)
}
