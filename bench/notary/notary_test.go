package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/fairleadio/fairlead/bench/measure"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// Nothing may speak against a transaction: its inputs were made before, and nobody else wants them.
func TestChainIsAccepted(t *testing.T) {
	for _, inputs := range []int{1, 2, 10} {
		c := chains(1, inputs)[0]
		made, spent := map[ledger.StateRef]int{}, map[ledger.StateRef]bool{}
		for n := range c.issuances() + 3*depth {
			r := c.request(n)
			for _, s := range r.Inputs {
				at, ok := made[s]
				if !ok || spent[s] {
					t.Fatalf("transaction %d of %d inputs consumes %s: made %v, consumed %v", n, inputs, s, ok, spent[s])
				}
				if n-at < depth {
					t.Fatalf("transaction %d consumes a state of %d", n, at)
				}
				spent[s] = true
			}
			if want := n >= c.issuances(); want != (len(r.Inputs) == inputs) {
				t.Fatalf("transaction %d has %d inputs", n, len(r.Inputs))
			}
			for i := range r.Outputs {
				made[ledger.StateRef{Transaction: r.Tx, Index: i}] = n
			}
		}
	}
}

func TestNotariesHavePartitions(t *testing.T) {
	for notaries := 1; notaries < 4; notaries++ {
		for i, c := range chains(notaries, 2) {
			if p := topics.Partition([]byte(c.notary), notaries); int(p) != i {
				t.Errorf("notary %s of %d is on partition %d", c.notary, notaries, p)
			}
		}
	}
	two := chains(2, 2)
	if two[0].id(1) == two[1].id(1) {
		t.Error("two notaries have one transaction")
	}
}

func TestRecord(t *testing.T) {
	c := chains(1, 2)[0]
	n := c.issuances() + 5
	rec, err := c.record("p-", n)
	if err != nil {
		t.Fatal(err)
	}
	var m uniquenessv1.Request
	if err := proto.Unmarshal(rec.Value, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.GetCheck().GetInputs()) != 2 || m.GetNotary() != string(rec.Key) || rec.Topic != "p-"+topics.UniquenessRequests {
		t.Errorf("%v %v", rec, &m)
	}
	if notary, got, err := parseRequestID(requestID(3, n)); notary != 3 || got != n || err != nil {
		t.Errorf("%d %d %v", notary, got, err)
	}
	for _, bad := range []string{"", "1", "x.1", "1.x"} {
		if _, _, err := parseRequestID(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func request(key kmsg.Key, size int) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(size))
	return append(binary.BigEndian.AppendUint16(b, uint16(key)), bytes.Repeat([]byte{7}, size-2)...)
}

// A commit is late, what is sent before it is not, and the order stays.
func TestSlowCommits(t *testing.T) {
	near, far := net.Pipe()
	const by = 50 * time.Millisecond
	s := slow(near, by)
	before, commit, after := request(kmsg.Produce, 10), request(kmsg.EndTxn, 20), request(kmsg.Fetch, 30)
	began := time.Now()
	for _, b := range [][]byte{before, commit, after} {
		if n, err := s.Write(b); n != len(b) || err != nil {
			t.Fatal(n, err)
		}
	}
	for i, want := range [][]byte{before, commit, after} {
		got := make([]byte, len(want))
		if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("request %d is %v, %v", i, got, err)
		}
		if took := time.Since(began); i == 1 && took < by {
			t.Errorf("the commit came after %s", took)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range queued + 2 { // the queue has room for some
		if _, err := s.Write(before); err != nil {
			return
		}
	}
	t.Error("a closed connection takes requests")
}

func sample() results {
	p := func(rate, p99, worker float64) []paced {
		return []paced{{PerSecond: rate, Seconds: 8, Millis: measure.Percentiles{P50: 12, P90: 20, P99: p99, Max: 300, Count: 9}, Worker: worker}}
	}
	return results{Recorded: "2026-11-26", Machine: "a machine", Loads: []load{
		{Notaries: 1, Inputs: 1, Transactions: 10, PerSecond: 50_000, Worker: 12},
		{Notaries: 1, Inputs: 2, Transactions: 10, PerSecond: 30_000, Worker: 20, Paced: p(15_000, 240, 20)},
		{Notaries: 2, Inputs: 2, Transactions: 10, PerSecond: 36_000, Worker: 20, Paced: p(15_000, 90, 21)},
		{Notaries: 1, Inputs: 2, SlowMillis: 20, Transactions: 10, PerSecond: 10_000, Worker: 20},
		{Notaries: 2, Inputs: 2, SlowMillis: 20, Transactions: 10, PerSecond: 17_000, Worker: 20},
		{Notaries: 1, Inputs: 2, SlowMillis: 20, Most: fewInACommit, Transactions: 10, PerSecond: 5_000, Worker: 20},
		{Notaries: 2, Inputs: 2, SlowMillis: 20, Most: fewInACommit, Transactions: 10, PerSecond: 9_500, Worker: 20},
	}, SQL: []sqlLoad{
		{Inputs: 2, Clients: 1, Together: 500, PerSecond: 3_000}, {Inputs: 2, Clients: 8, Together: 1, PerSecond: 1_500},
		{Inputs: 2, Clients: 8, Together: 1, Lazy: true, PerSecond: 2_000},
	}}
}

func TestPage(t *testing.T) {
	text := page(sample())
	for _, want := range []string{
		"| 40000 transactions of two inputs per second on one partition | 30000 | no |", "| not less than 15000 | 30000 | yes |",
		"| 99th percentile below 250 ms | 240 ms at 15000 transactions/s | yes |",
		"at most 10 % more processor time per transaction | +5 % at 15000 transactions/s | yes |",
		"| two notaries 1.8 times as fast as one when each commit takes 20 ms longer | 1.70 times where a commit has as many",
		"| two notaries 1.8 times as fast as one when each commit takes 20 ms longer | 1.90 times where a commit has at most 20, and is the limit | yes |",
		"| 2 | 2 | 20 ms slower, of at most 20 | 10 | 9500 |",
		"| 1 | 2 | as they are | 10 | 30000 | 60000 | 20.0 µs |", "| 2 | 500 | 3000 | 10.0× |", "| 2, lazy | | | | | 2000 | 15.0× |", "| 1 | 0 | 0 | – |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	lame := sample()
	lame.note("Postgres, 100 inputs", errors.New("too | slow\nfor us"))
	if text := page(lame); !strings.Contains(text, "\nNot measured: Postgres, 100 inputs (too / slow).\n") {
		t.Errorf("the page does not say what failed:\n%s", text)
	}
	if svg := plot(sample()); !strings.Contains(svg, "Postgres, a commit each, 8 clients") {
		t.Errorf("the picture lacks Postgres: %s", svg)
	}
}

func TestRecordedAndWrittenAnew(t *testing.T) {
	root := t.TempDir()
	for _, d := range []string{"bench/notary", "docs"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	o := options{root: root, record: true}
	if err := report(o, sample()); err != nil {
		t.Fatal(err)
	}
	read := func() string {
		raw, err := os.ReadFile(filepath.Join(root, "docs", "performance-notary.md"))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	first := read()
	if err := rewrite(o); err != nil {
		t.Fatal(err)
	}
	if read() != first {
		t.Error("the page from the record is another one")
	}
}

func TestLoads(t *testing.T) {
	var before []load
	for _, l := range loads(0.0001) {
		if l.Transactions < 20 || l.Transactions%l.Notaries != 0 {
			t.Errorf("%s has %d transactions", l.title(), l.Transactions)
		}
		for _, rate := range l.rates {
			if rate == likeOnes && oneRate(before, l) == 0 {
				t.Errorf("%s comes before the load that it is compared with", l.title())
			}
		}
		if len(l.rates) > 0 {
			l.Paced = []paced{{PerSecond: 1}}
		}
		before = append(before, l)
	}
}
