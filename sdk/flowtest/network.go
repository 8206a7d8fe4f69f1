package flowtest

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// groupID is the group of a network's members unless [As] says otherwise.
const groupID = "00000000-0000-0000-0000-000000000000"

// maxTurns is after how many suspensions of flows a network is taken to go round in circles.
const maxTurns = 1_000_000

// Network is an application network in memory.
type Network struct {
	t        testing.TB
	settings settings
	now      time.Time
	members  map[string]*Member
	tables   map[string]*Table
	channels map[string]bool
	sessions map[string]*session
	flows    []*Flow
	ready    []*Flow                 // those that can go on, in order
	files    map[ledger.Hash]Package // all that were ever installed
	ids      uint64
	turns    int
}

// New makes a network without members. It ends with the test; flows that still wait then are given up.
func New(t testing.TB, options ...Option) *Network {
	t.Helper()
	n := &Network{
		t: t, settings: settingsOf(options), members: map[string]*Member{}, tables: map[string]*Table{},
		channels: map[string]bool{}, sessions: map[string]*session{}, files: map[ledger.Hash]Package{},
	}
	n.now = n.settings.at
	for _, dir := range n.settings.files {
		n.declare(dir)
	}
	for _, table := range n.settings.tables {
		n.addTable(table)
	}
	for _, name := range n.settings.channels {
		n.channels[name] = true
	}
	t.Cleanup(n.close)
	return n
}

// close gives up the flows that still wait, and waits for their goroutines.
func (n *Network) close() {
	for _, f := range n.flows {
		f.giveUp()
	}
}

// Member adds a member, or returns the one of that name. Its X.500 name must have O, L and C; the order of attributes
// does not matter.
func (n *Network) Member(name string) *Member {
	n.t.Helper()
	canonical, err := canonicalName(name)
	if err != nil {
		n.t.Fatalf("flowtest: member %q: %v", name, err)
	}
	if m := n.members[canonical]; m != nil {
		return m
	}
	return n.addMember(flow.Identity{X500Name: canonical, GroupID: groupID})
}

// Now is the network's clock.
func (n *Network) Now() time.Time { return n.now }

// Advance runs all flows for a time of the network's clock.
func (n *Network) Advance(d time.Duration) {
	n.t.Helper()
	for until := n.now.Add(d); ; {
		for n.runOne() {
		}
		due, ok := n.nextDue()
		if !ok || due.After(until) {
			n.now = later(n.now, until)
			return
		}
		n.pass(due)
	}
}

// Settle runs all flows until none can go on, however long that takes on the network's clock.
func (n *Network) Settle() {
	n.t.Helper()
	for n.turn() {
	}
}

// turn lets one flow run, or the clock move on to when one can. It tells whether there was anything to do.
func (n *Network) turn() bool {
	n.t.Helper()
	if n.runOne() {
		return true
	}
	due, ok := n.nextDue()
	if ok {
		n.pass(due)
	}
	return ok
}

// runOne runs the flow whose turn it is until it waits or ends, and finds out who can go on then.
func (n *Network) runOne() bool {
	n.t.Helper()
	if len(n.ready) == 0 {
		return false
	}
	if n.turns++; n.turns > maxTurns {
		n.t.Fatalf("flowtest: after %d suspensions flows still go on: do they wait for each other for ever?", maxTurns)
	}
	f := n.ready[0]
	n.ready = n.ready[1:]
	f.goOn()
	n.settle()
	return true
}

// pass moves the clock.
func (n *Network) pass(to time.Time) {
	n.now = later(n.now, to)
	n.settle()
}

// settle answers what can be answered now; flows with all their answers can go on.
func (n *Network) settle() {
	for again := true; again; {
		again = false
		for _, f := range n.flows {
			answered, ready := f.settle()
			if ready {
				n.ready = append(n.ready, f)
			}
			again = again || answered || ready
		}
	}
}

// nextDue is when the next request that waits for a time is due.
func (n *Network) nextDue() (next time.Time, ok bool) {
	for _, f := range n.flows {
		if f.ending != nil && !f.ended {
			if until, _ := f.sessionsLeft(); !until.IsZero() && (!ok || until.Before(next)) {
				next, ok = until, true
			}
		}
		for _, q := range f.open {
			if q.answer == nil && !q.due.IsZero() && (!ok || q.due.Before(next)) {
				next, ok = q.due, true
			}
		}
	}
	return next, ok
}

// id makes the next id: always the same in the same test.
func (n *Network) id(of string) (id flow.ID) {
	n.ids++
	copy(id[:], n.derive("id", of, n.ids))
	return id
}

// derive makes 32 bytes that depend on the test, its seed and what they are for.
func (n *Network) derive(kind, of string, number uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n.settings.seed)
	b = binary.BigEndian.AppendUint64(b, number)
	sum := sha256.Sum256(append(b, n.t.Name()+"\n"+kind+"\n"+of...))
	return sum[:]
}

// sorted are the members in the order of their names.
func (n *Network) sorted() []*Member {
	var all []*Member
	for _, name := range slices.Sorted(maps.Keys(n.members)) {
		all = append(all, n.members[name])
	}
	return all
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func fault(typ, message string) wire.Answer {
	return wire.Answer{Error: &wire.Error{Type: typ, Message: message}}
}
