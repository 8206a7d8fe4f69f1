package flow_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/processors/flow"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// fakeSandbox runs programs of a few words instead of WebAssembly: the "module" is the program's text. Like the real
// one it is deterministic, but for the word "dice".
//
//	sleep 10s            one request
//	all sleep 1s, checkpoint, unknown 17
//	                     several requests in one step
//	sleep-some           sleeps for a time that depends on all that the program has seen
//	log TEXT             writes a line
//	work 1000            takes so many instructions
//	done JSON            ends; $seen is what the program has seen, as a hash, $answers the last answers
//	fail TYPE MESSAGE    ends with an error
//	trap KIND            fails as the sandbox would: out-of-instructions, panic, …
//	host-error           fails as a sick machine would
//	garbage              returns what is no yield
//	dice                 asks for something else every time it is run
//	open NAME PROTO 1,2  opens a session with O=NAME; sessions are counted from 0, a responder's own is 0
//	open NAME PROTO 1 quiet 5m   the same, without a close that is required, with a time-out
//	send 0 TEXT          sends; $last is what was received last, "more TEXT" has more parts to follow
//	receive 0, close 0, info 0
//	sign TEXT, persist TABLE ROW, find TABLE KEY, emit CHANNEL TEXT, members NAME…, keys CATEGORY, check TRANSACTION
//	right HOW            has a signature checked that is good, bad, alien, or as many times as the number says
//	                     $got is all that was received, $answers tells errors and some results
type fakeSandbox struct {
	mu      sync.Mutex
	modules map[[32]byte]*fakeModule
	dice    int64
	sick    bool // host-error fails
	live    int  // instances that were made and not released
	started int
}

func newFakeSandbox() *fakeSandbox {
	return &fakeSandbox{modules: map[[32]byte]*fakeModule{}, sick: true}
}

type fakeModule struct {
	s     *fakeSandbox
	lines []string
	users int // instances that were made and not released
	gone  bool
}

func (s *fakeSandbox) Module(sha [32]byte) (flow.Module, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.modules[sha]
	return m, ok
}

func (s *fakeSandbox) Install(_ context.Context, wasm []byte) (flow.Module, error) {
	text := strings.TrimSpace(string(wasm))
	if text == "rejected" {
		return nil, &sandbox.Error{Kind: sandbox.Rejected, Detail: "it imports a socket"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &fakeModule{s: s, lines: strings.Split(text, "\n")}
	s.modules[sha256.Sum256(wasm)] = m
	return m, nil
}

func (s *fakeSandbox) Uninstall(_ context.Context, sha [32]byte) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.modules[sha]
	if ok && m.users > 0 {
		return false, nil
	}
	delete(s.modules, sha)
	if ok {
		m.gone = true
	}
	return true, nil
}

func (m *fakeModule) NewInstance(_ context.Context, seed [32]byte, log func(string)) (flow.Instance, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	if m.gone {
		return nil, sandbox.ErrUninstalled
	}
	m.users++
	m.s.live++
	m.s.started++
	return &fakeInstance{m: m, seen: seed, log: log}, nil
}

type fakeInstance struct {
	m        *fakeModule
	pc       int
	seen     [32]byte
	answers  []string
	clock    int64
	log      func(string)
	released bool
	sessions []string
	got      []string
	asked    []*appv1.Request
	units    int64 // of the last call
}

func (i *fakeInstance) Instructions() int64 { return i.units }

func (i *fakeInstance) MemoryBytes() int { return 1 << 20 }

func (i *fakeInstance) Release(context.Context) {
	i.m.s.mu.Lock()
	defer i.m.s.mu.Unlock()
	if i.released {
		panic("an instance was released twice")
	}
	i.released = true
	i.m.s.live--
	i.m.users--
}

func (i *fakeInstance) Start(_ context.Context, nowUs int64, start []byte) ([]byte, error) {
	if i.pc != 0 || i.released {
		panic("an instance was started that is not fresh")
	}
	var s appv1.Start
	if err := proto.Unmarshal(start, &s); err == nil && s.GetSession() != nil {
		i.sessions = append(i.sessions, s.GetSession().GetId())
	}
	return i.run(nowUs, start)
}

func (i *fakeInstance) Resume(_ context.Context, nowUs int64, resume []byte) ([]byte, error) {
	if i.pc == 0 || i.released {
		panic("an instance was resumed that does not wait")
	}
	var r appv1.Resume
	if err := proto.Unmarshal(resume, &r); err != nil {
		return nil, &sandbox.Error{Kind: sandbox.Panic, Detail: err.Error()}
	}
	i.answers = nil
	for n, a := range r.GetAnswers() {
		if e := a.GetError(); e != nil {
			i.answers = append(i.answers, e.GetType())
			continue
		}
		i.answers = append(i.answers, i.answered(i.asked[n], a.GetResult()))
	}
	return i.run(nowUs, resume)
}

func (i *fakeInstance) run(nowUs int64, in []byte) ([]byte, error) {
	if nowUs < i.clock {
		panic(fmt.Sprintf("the clock went from %d back to %d", i.clock, nowUs))
	}
	i.clock = nowUs
	i.units = 0
	h := sha256.New()
	h.Write(i.seen[:])
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(nowUs)))
	h.Write(in)
	copy(i.seen[:], h.Sum(nil))
	for {
		if i.pc >= len(i.m.lines) {
			return marshal(&appv1.Yield{Outcome: &appv1.Yield_Done{Done: &appv1.Done{}}})
		}
		line := strings.TrimSpace(i.m.lines[i.pc])
		i.pc++
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "work":
			n, err := strconv.ParseInt(rest, 10, 64)
			if err != nil {
				panic(err)
			}
			i.units += n
		case "log":
			i.log(rest)
		case "done":
			rest = strings.ReplaceAll(rest, "$seen", `"`+hex.EncodeToString(i.seen[:8])+`"`)
			rest = strings.ReplaceAll(rest, "$got", `"`+strings.Join(i.got, ",")+`"`)
			rest = strings.ReplaceAll(rest, "$answers", `"`+strings.Join(i.answers, ",")+`"`)
			if rest == "$large" {
				rest = `"` + strings.Repeat("x", 1<<20) + `"`
			}
			return marshal(&appv1.Yield{Outcome: &appv1.Yield_Done{Done: &appv1.Done{Result: []byte(rest)}}})
		case "fail":
			kind, message, _ := strings.Cut(rest, " ")
			return marshal(&appv1.Yield{Outcome: &appv1.Yield_Failed{Failed: &appv1.Failed{Error: &appv1.Error{Type: kind, Message: message}}}})
		case "trap":
			return nil, &sandbox.Error{Kind: sandbox.ErrorKind(rest), Detail: "as the test wants"}
		case "host-error":
			if i.m.s.sick {
				return nil, errors.New("the machine is sick")
			}
		case "host-panic":
			panic("a fault of the host's")
		case "garbage":
			return []byte{0xff, 0xff}, nil
		case "all":
			return i.ask(strings.Split(rest, ","))
		default:
			return i.ask([]string{line})
		}
	}
}

func (i *fakeInstance) ask(words []string) ([]byte, error) {
	requests := &appv1.Requests{}
	for _, w := range words {
		requests.Requests = append(requests.Requests, i.request(strings.Fields(w)))
	}
	i.asked = requests.GetRequests()
	return marshal(&appv1.Yield{Outcome: &appv1.Yield_Requests{Requests: requests}})
}

func (i *fakeInstance) request(words []string) *appv1.Request {
	r := &appv1.Request{}
	sleep := func(us int64) *appv1.Request {
		r.Operation = &appv1.Request_Sleep{Sleep: &appv1.Sleep{DurationUs: us}}
		return r
	}
	switch words[0] {
	case "sleep":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			panic(err)
		}
		return sleep(d.Microseconds())
	case "sleep-some":
		return sleep(int64(binary.BigEndian.Uint16(i.seen[:])) % 5_000)
	case "dice":
		i.m.s.mu.Lock()
		i.m.s.dice++
		n := i.m.s.dice
		i.m.s.mu.Unlock()
		return sleep(n * 1_000_000)
	case "checkpoint":
		r.Operation = &appv1.Request_Checkpoint{Checkpoint: &appv1.Checkpoint{}}
	case "unknown":
		n, err := strconv.Atoi(words[1])
		if err != nil {
			panic(err)
		}
		body := i.seen[:4]
		if len(words) > 2 {
			body = bytes.Repeat([]byte{'x'}, 1<<20)
		}
		raw := protowire.AppendTag(nil, protowire.Number(n), protowire.BytesType)
		r.ProtoReflect().SetUnknown(protowire.AppendBytes(raw, body))
	default:
		if !i.talk(r, words) {
			panic("the program has an unknown word: " + words[0])
		}
	}
	return r
}

func marshal(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}
