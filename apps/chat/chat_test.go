package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

// network is a group of three, with the application's tables. SQL is not run in memory: the query is answered here.
func network(t *testing.T) (alice, bob, carol *flowtest.Member) {
	net := flowtest.New(t, flowtest.Application("."),
		flowtest.Query("messages-by-sender", func(m *flowtest.Member, p struct{ Sender string }) []Row {
			rows := slices.DeleteFunc(flowtest.Rows[Row](m, "messages"), func(r Row) bool { return r.Sender != p.Sender })
			slices.SortFunc(rows, func(a, b Row) int { return a.ReceivedAt.Compare(b.ReceivedAt) })
			return rows
		}))
	return net.Member("O=Alice, L=London, C=GB"), net.Member("O=Bob, L=Paris, C=FR"), net.Member("O=Carol, L=Rome, C=IT")
}

func TestChat(t *testing.T) {
	alice, bob, carol := network(t)
	var d Delivered
	alice.Start("chat-send", Outgoing{To: "L=Paris,O=Bob,C=FR", Text: "hello"}).Wait().Result(t, &d)
	if d.To != bob.Name() || d.At.IsZero() {
		t.Errorf("%+v", d)
	}
	carol.Start("chat-send", Outgoing{To: bob.Name(), Text: "ciao"}).Wait().Result(t, &d)
	alice.Start("chat-send", Outgoing{To: bob.Name(), Text: "again"}).Wait().Result(t, &d)

	var all, ofAlice []Row
	bob.Start("chat-list", Which{}).Wait().Result(t, &all)
	bob.Start("chat-list", Which{From: alice.Name()}).Wait().Result(t, &ofAlice)
	if len(all) != 3 || len(ofAlice) != 2 || ofAlice[0].Text != "hello" || ofAlice[1].Text != "again" || ofAlice[1].ID != d.ID {
		t.Errorf("all %+v, of Alice %+v", all, ofAlice)
	}
	if rows := flowtest.Rows[Row](alice, "messages"); len(rows) != 0 {
		t.Errorf("the sender kept %+v", rows)
	}
}

func TestWhatIsRefused(t *testing.T) {
	alice, bob, _ := network(t)
	for _, in := range []Outgoing{{Text: "x"}, {To: bob.Name()}, {To: bob.Name(), Text: strings.Repeat("x", maxText+1)}} {
		if o := alice.Start("chat-send", in).Wait(); o.Err == nil || o.Err.Type != "bad-input" {
			t.Errorf("%.50v: %v", in, o.Err)
		}
	}
	if o := alice.Start("chat-send", Outgoing{To: "O=Dave, L=Oslo, C=NO", Text: "x"}).Wait(); o.Err == nil || o.Err.Type != "session-error" {
		t.Errorf("to nobody: %v", o.Err)
	}
}

// What goes wrong on the other side reaches the sender.
func TestFailures(t *testing.T) {
	alice, bob, _ := network(t)
	bob.Fail("persist", flow.Errorf("query-failed", "the disk is full"))
	o := alice.Start("chat-send", Outgoing{To: bob.Name(), Text: "x"}).Wait()
	if o.Err == nil || o.Err.Type != "session-error" || !strings.Contains(o.Err.Message, "the disk is full") {
		t.Errorf("a row that cannot be kept: %v", o.Err)
	}
	bob.Unreachable(true)
	o = alice.Start("chat-send", Outgoing{To: bob.Name(), Text: "x"}).Wait()
	if o.Err == nil || o.Err.Type != "session-timeout" || o.Ended.Sub(o.Began) < 30*time.Minute {
		t.Errorf("Bob cannot be reached: %v after %v", o.Err, o.Ended.Sub(o.Began))
	}
}
