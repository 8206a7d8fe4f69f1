package flowtest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/flowtest"
)

var accountsTable = flowtest.Table{
	Name: "accounts", PrimaryKey: []string{"id"},
	Columns: []flowtest.Column{
		{Name: "id", Type: "bigint"}, {Name: "owner", Type: "text", NotNull: true},
		{Name: "balance", Type: "numeric"}, {Name: "seen", Type: "timestamp"},
	},
}

func network(t testing.TB) (net *flowtest.Network, alice, bob *flowtest.Member) {
	t.Helper()
	net = flowtest.New(t, flowtest.Tables(accountsTable), flowtest.Channels("payments"),
		flowtest.Query("by-owner", func(m *flowtest.Member, p struct{ Owner string }) []account {
			return slices.DeleteFunc(flowtest.Rows[account](m, "accounts"), func(a account) bool { return a.Owner != p.Owner })
		}))
	return net, net.Member("O=Alice, L=London, C=GB"), net.Member("C=FR,L=Paris, O=Bob")
}

func TestTalk(t *testing.T) {
	for _, c := range []struct {
		what  string
		n     int
		want  string // the result, or the error's type and a part of its message
		steps int
	}{
		{"echo properties", 0, `["hello v2 hello",2,"O=Bob, L=Paris, C=FR","echo"]`, 3},
		{"echo", 0, `"x"`, 2},
		{"echo large", 1_300_000, `1300000`, 7},
		{"echo all", 10, `10`, 14},
		{"echo misfit", 0, `bad-message unknown field "other"`, 3},
		{"echo closed", 0, `session-closed this side`, 3},
		{"echo twice", 0, `session-timeout no message of O=Bob, L=Paris, C=FR for 10m0s`, 3},
		{"echo nobody", 0, `invalid-argument "Bob" is not an X.500 name`, 1},
		{"broken", 0, `session-error flow-failed: nothing left`, 2},
		{"absent", 0, `session-error no-responder: O=Bob, L=Paris, C=FR has no responder for protocol "absent"`, 2},
		{"late", 0, `session-timeout 30m0s`, 2},
		{"deaf twice", 0, `session-closed O=Bob, L=Paris, C=FR has closed the session`, 3},
		{"echo leave", 0, `null`, 2},
		{"broken leave", 0, `null`, 2}, // it failed before, and nobody looked
		{"later tolerate", 0, `null`, 3},
		{"echo tolerate", 0, `null`, 3},
		{"later leave", 0, `session-error the flow had ended, but its session with O=Bob, L=Paris, C=FR was not closed by the other side: flow-failed`, 2},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, alice, bob := network(t)
			o := alice.Start("talk", task{To: []string{bob.Name()}, What: c.what, N: c.n}).Wait()
			got := string(o.JSON)
			if o.Err != nil {
				got = o.Err.Type + " " + o.Err.Message
			}
			typ, part, _ := strings.Cut(c.want, " ")
			if got != c.want && (o.Err == nil || o.Err.Type != typ || !strings.Contains(o.Err.Message, part)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if len(o.Steps) != c.steps {
				t.Errorf("%d steps, want %d: %v", len(o.Steps), c.steps, o.Steps)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	net, alice, bob := network(t)
	bob.Unreachable(true)
	began := net.Now()
	o := alice.Start("talk", task{To: []string{bob.Name()}, What: "echo"}).Wait()
	if o.Err == nil || o.Err.Type != "session-timeout" || net.Now().Sub(began) < 10*time.Minute || len(bob.Flows()) != 0 {
		t.Errorf("%v after %v", o.Err, net.Now().Sub(began))
	}
	o = alice.Start("talk", task{To: []string{"O=Carol, L=Rome, C=IT"}, What: "echo"}).Wait()
	if o.Err == nil || !strings.Contains(o.Err.Message, "no-virtual-node") {
		t.Errorf("a member that is not there: %v", o.Err)
	}
	bob.Unreachable(false)
	bob.Fail("receive", flow.Errorf("killed", "by an operator"))
	if o := alice.Start("talk", task{To: []string{bob.Name()}, What: "echo"}).Wait(); o.Err == nil || o.Err.Message != "flow-failed: by an operator" {
		t.Errorf("a responder that is killed: %v", o.Err)
	}
}

func TestRows(t *testing.T) {
	for _, c := range []struct{ what, want string }{
		{"", `[[3,9223372036854775807],1,9223372036854775807,0]`},
		{"exists", "exists table accounts, row 2"},
		{"undeclared", `not-declared table "absent"`},
		{"column", `invalid-row table accounts, row 1: column "colour" is not declared`},
		{"null", "constraint table accounts, row 1: column owner must not be null"},
		{"key", "invalid-row column id of the primary key is not given"},
		{"type", "invalid-row column id is \"one\""},
		{"absent", "not-found"},
	} {
		t.Run(c.what, func(t *testing.T) {
			_, alice, _ := network(t)
			o := alice.Start("rows", task{What: c.what}).Wait()
			got := string(o.JSON)
			if o.Err != nil {
				got = o.Err.Type + " " + o.Err.Message
			}
			typ, part, _ := strings.Cut(c.want, " ")
			if got != c.want && (o.Err == nil || o.Err.Type != typ || !strings.Contains(o.Err.Message, part)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			if n := len(flowtest.Rows[account](alice, "accounts")); c.what == "exists" && n != 1 {
				t.Errorf("a request that failed left %d rows, want those of the one before", n)
			}
		})
	}
}

func TestQuery(t *testing.T) {
	_, alice, _ := network(t)
	for i := range 6 {
		alice.Insert("accounts", account{ID: int64(i), Owner: []string{"x", "y"}[i/5]})
	}
	o := alice.Start("rows", task{What: "query"}).Wait()
	var got []account
	if o.Result(t, &got); len(got) != 4 || got[0].ID != 1 || len(o.Steps) != 2 {
		t.Errorf("%v in %d steps", got, len(o.Steps))
	}
}

func TestKeysMembersChannels(t *testing.T) {
	net, alice, bob := network(t)
	o := alice.Start("sign", task{}).Wait()
	var id string
	o.Result(t, &id)
	alice.Fail("sign", flow.Errorf("refused", "no"))
	if o := alice.Start("sign", task{}).Wait(); o.Err == nil || o.Err.Type != "refused" {
		t.Errorf("a signature that is refused: %v", o.Err)
	}
	if o := alice.Start("sign", task{What: "other"}).Wait(); o.Err == nil || o.Err.Type != "not-found" {
		t.Errorf("another's key: %v", o.Err)
	}
	if o := alice.Start("lookup", task{To: []string{"L=Paris, O=Bob, C=FR"}}).Wait(); string(o.JSON) != `[2,"O=Bob, L=Paris, C=FR","O=Bob, L=Paris, C=FR"]` {
		t.Errorf("look-up: %s %v", o.JSON, o.Err)
	}
	if o := alice.Start("lookup", task{To: []string{"O=Carol, L=Paris, C=FR"}}).Wait(); o.Err == nil || o.Err.Type != "not-found" {
		t.Errorf("look-up of nobody: %s %v", o.JSON, o.Err)
	}
	if o := bob.Start("emit", task{}).Wait(); o.Err == nil || o.Err.Type != "no-channel" {
		t.Errorf("emit: %v", o.Err)
	}
	e := bob.Emitted()
	if len(e) != 1 || e[0].Channel != "payments" || string(e[0].Key) != "k" || !slices.Equal(e[0].Headers, []flow.Header{{Name: "a", Value: "b"}}) || len(alice.Emitted()) != 0 {
		t.Errorf("emitted %+v", e)
	}
	if net.Member("C=GB, L=London, O=Alice") != alice {
		t.Error("another order of attributes is another member")
	}
}

func TestTogether(t *testing.T) {
	_, alice, bob := network(t)
	o := alice.Start("together", task{To: []string{bob.Name()}}).Wait()
	if string(o.JSON) != `["hi",1]` || len(o.Steps) != 2 || len(o.Steps[1].Requests) != 5 {
		t.Errorf("%s %v %v", o.JSON, o.Err, o.Steps)
	}
}

func TestClock(t *testing.T) {
	net, alice, bob := network(t)
	f := alice.Start("talk", task{To: []string{bob.Name()}, What: "late"})
	net.Advance(10 * time.Minute)
	if f.Ended() || fmt.Sprint(f.Waiting()) != "[receive from O=Bob, L=Paris, C=FR]" || net.Now().Minute() != 10 {
		t.Errorf("after 10 minutes: %v, %v at %v", f.Ended(), f.Waiting(), net.Now())
	}
	net.Settle()
	if !f.Ended() || len(bob.Flows()) != 1 || !bob.Flows()[0].Ended() {
		t.Errorf("at rest: %v", f.Waiting())
	}
	alice.Start("talk", task{To: []string{bob.Name()}, What: "late"})
	net.Advance(time.Minute) // it is given up with the test
}

// recorder takes a test's failures.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestDifferencesAreFound(t *testing.T) {
	for class, want := range map[string]string{"different": "the first run asked for sleep", "different-end": "the first run ended with the result"} {
		r := &recorder{TB: t}
		flowtest.New(r).Member("O=Alice, L=London, C=GB").Start(class, task{}).Wait()
		if len(r.failures) != 1 || !strings.Contains(r.failures[0], want) {
			t.Errorf("%s: %q", class, r.failures)
		}
		flowtest.New(t, flowtest.WithoutReplay()).Member("O=Alice, L=London, C=GB").Start(class, task{}).Wait()
	}
}

// The same test gives the same ids, keys and steps each time.
func TestRepeats(t *testing.T) {
	run := func() string {
		_, alice, bob := network(t)
		o := alice.Start("talk", task{To: []string{bob.Name()}, What: "echo all", N: 3}).Wait()
		return fmt.Sprint(o, alice.Start("sign", task{}).Wait(), alice.Flows()[0].ID())
	}
	if first, second := run(), run(); first != second {
		t.Errorf("first  %s\nsecond %s", first, second)
	}
}
