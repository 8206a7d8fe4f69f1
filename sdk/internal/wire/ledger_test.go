package wire

import (
	"encoding/hex"
	"testing"
)

// Every operation on the ledger's tables is found by its number, and read back as what it was.
func TestLedgerOperations(t *testing.T) {
	for n := range 20 {
		o := ledgerChoice(n)
		if (o != nil) != (n >= 1 && n <= 14) {
			t.Fatalf("operation %d is %T", n, o)
		}
		if o == nil {
			continue
		}
		var again LedgerRequest
		if err := Decode(Encode(&LedgerRequest{Operation: o}), &again); err != nil || o.choice() != n || again.Operation.choice() != n {
			t.Errorf("operation %d is %T %d, and %T, %v", n, o, o.choice(), again.Operation, err)
		}
	}
}

// Golden encodings, as the Protobuf library of the host writes them.
func TestLedgerGolden(t *testing.T) {
	for _, c := range []struct {
		m    Message
		want string
	}{
		{&Requests{Requests: []Request{{&LedgerRequest{Operation: &FindTransaction{ID: []byte{1}, Statuses: []int32{1, 2}, Resolve: true}}}}}, "0a0e" + "ca020b" + "1a09" + "0a0101" + "12020102" + "1801"},
		{&Requests{Requests: []Request{{&SignTransactions{IDs: [][]byte{{1}, {}}, PublicKey: []byte{2}, Scheme: "s"}}}}, "0a0e" + "d2020b" + "0a0101" + "0a00" + "120102" + "1a0173"},
		{&PersistTransaction{Transaction: []byte{1}, Status: 2, Signatures: [][]byte{{3}}, Visible: []uint32{0, 300}, OnlyIfAbsent: true}, "0a0101" + "1002" + "1a0103" + "220300ac02" + "2801"},
	} {
		if got := hex.EncodeToString(Encode(c.m)); got != c.want {
			t.Errorf("%#v\ngot  %s\nwant %s", c.m, got, c.want)
		}
	}
}

func FuzzDecodeLedger(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x1a\x09\x0a\x01\x01\x12\x02\x01\x02\x18\x01"))
	f.Add([]byte("\x08\x02\x12\x01x\x1a\x01y\x22\x05\x0a\x03\x0a\x01\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, empty := range []func() Message{
			func() Message { return &LedgerRequest{} }, func() Message { return &FoundTransaction{} }, func() Message { return &TransactionStatuses{} },
			func() Message { return &StatePage{} }, func() Message { return &FoundFilteredTransactions{} }, func() Message { return &SignedGroupParameters{} },
			func() Message { return &TransactionSignatures{} }, func() Message { return &SignTransactions{} },
		} {
			stable(t, b, empty)
		}
	})
}
