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

// Every operation on packages is found by its number, and encoded as the Protobuf library of the host does it.
func TestPackageOperations(t *testing.T) {
	for n := range 6 {
		o := packageChoice(n)
		if (o != nil) != (n >= 1 && n <= 3) {
			t.Fatalf("operation %d is %T", n, o)
		}
		if o == nil {
			continue
		}
		var again PackageRequest
		if err := Decode(Encode(&PackageRequest{Operation: o}), &again); err != nil || o.choice() != n || again.Operation.choice() != n {
			t.Errorf("operation %d is %T %d, and %T, %v", n, o, o.choice(), again.Operation, err)
		}
	}
	put := &PutPackagePart{Package: &NamedPackage{Name: "a", Version: "1", Checksum: []byte{2}, Signer: []byte{3}}, Part: 1, Parts: 2, Data: []byte{4}}
	const want = "0a1a" + "e20217" + "1a15" + "0a0c" + "0a0161" + "120131" + "1a0102" + "220103" + "1001" + "1802" + "220104"
	if got := hex.EncodeToString(Encode(&Requests{Requests: []Request{{&PackageRequest{Operation: put}}}})); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
