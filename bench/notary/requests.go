package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/processors/uniqueness"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// depth is how many transactions lie at least between a state's making and its consumption: more than a batch has and more than
// the engine keeps in memory, so that what is known of it is read from the storage.
const depth = 20_000

// forever is the end of all time windows.
const forever = 1 << 60

// chain is the transactions of one notary, by number. The first are issuances; each of the others consumes one output of
// each of as many others as it has inputs, makes as many, and wants nothing that another one wants.
type chain struct {
	notary string
	number int // of the notary
	inputs int
}

// issuances is how many transactions have no inputs.
func (c chain) issuances() int { return depth + c.inputs }

// id is a transaction's id: it looks like a hash, as ids do.
func (c chain) id(n int) ledger.Hash {
	var b [12]byte
	binary.BigEndian.PutUint32(b[:], uint32(c.number))
	binary.BigEndian.PutUint64(b[4:], uint64(n))
	return sha256.Sum256(b[:])
}

// request is what is asked about transaction n.
func (c chain) request(n int) uniqueness.Request {
	r := uniqueness.Request{Tx: c.id(n), Outputs: uint32(c.inputs), Window: ledger.TimeWindow{UntilUs: forever}, Originator: originator}
	if n < c.issuances() {
		return r
	}
	r.Inputs = make([]ledger.StateRef, c.inputs)
	for j := range r.Inputs {
		r.Inputs[j] = ledger.StateRef{Transaction: c.id(n - depth - j), Index: uint32(j)}
	}
	return r
}

const originator = "O=Alice, L=London, C=GB"

// record is the request as a flow worker writes it.
func (c chain) record(prefix string, n int) (*kgo.Record, error) {
	r := c.request(n)
	check := &appv1.CheckUniqueness{
		Mode: appv1.UniquenessMode_UNIQUENESS_MODE_CHECK, Transaction: r.Tx[:], Outputs: int32(r.Outputs), Originator: r.Originator,
		Window: &ledgerv1.TimeWindow{UntilUs: r.Window.UntilUs}, Inputs: make([]*ledgerv1.StateRef, len(r.Inputs)),
	}
	for i := range r.Inputs {
		check.Inputs[i] = &ledgerv1.StateRef{Transaction: r.Inputs[i].Transaction[:], Index: r.Inputs[i].Index}
	}
	value, err := schemas.Marshal(&uniquenessv1.Request{Notary: c.notary, FlowId: "bench", Check: check})
	if err != nil {
		return nil, err
	}
	id := requestID(c.number, n)
	return &kgo.Record{Topic: prefix + topics.UniquenessRequests, Key: []byte(c.notary), Value: value, Headers: []kgo.RecordHeader{
		{Key: engine.HeaderRequest, Value: []byte(id)}, {Key: engine.HeaderReply, Value: []byte(engine.ReplyTo(topics.FlowRepliesUniqueness, -1, id))},
	}}, nil
}

func requestID(notary, n int) string { return strconv.Itoa(notary) + "." + strconv.Itoa(n) }

func parseRequestID(id string) (notary, n int, err error) {
	a, b, ok := strings.Cut(id, ".")
	if notary, err = strconv.Atoi(a); ok && err == nil {
		n, err = strconv.Atoi(b)
	}
	if !ok || err != nil {
		return 0, 0, fmt.Errorf("an answer to %q, which nobody asked", id)
	}
	return notary, n, nil
}

// chains are those of so many notaries, each on a partition of its own.
func chains(notaries, inputs int) []chain {
	var out []chain
	for n := 0; len(out) < notaries; n++ {
		name := fmt.Sprintf("%012X", n+0xF00D)
		if int(topics.Partition([]byte(name), notaries)) == len(out) {
			out = append(out, chain{name, len(out), inputs})
		}
	}
	return out
}
