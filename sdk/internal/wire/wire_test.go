package wire

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// Golden encodings, as the Protobuf library of the host writes them.
func TestGolden(t *testing.T) {
	start := Start{
		FlowClass: "pay", Input: []byte("{}"), FlowID: []byte{1, 2}, Me: &Identity{X500Name: "O=A", GroupID: "g", ShortHash: "AB"},
		ClientRequestID: "r", Properties: []Property{{Name: "n"}, {Name: "k", Value: "v"}}, Session: &Session{ID: "s", ProtocolVersion: 300}, Attempt: 1,
	}
	yield := Yield{Requests: &Requests{Requests: []Request{{Sleep: &Sleep{DurationUS: 1_000_000}}, {Checkpoint: &Checkpoint{}}, {}}}}
	negative := Yield{Requests: &Requests{Requests: []Request{{Sleep: &Sleep{DurationUS: -1}}}}}
	for _, c := range []struct {
		b    []byte
		want string
	}{
		{start.Append(nil), "0a0370617912027b7d1a020102220c0a034f3d41120167" + "1a024142" + "2a0172" + "32030a016e" + "32060a016b120176" + "3a060a017320ac02" + "4001"},
		{yield.Append(nil), "1a0e0a060a0408c0843d0a0212000a00"},
		{negative.Append(nil), "1a0f0a0d0a0b08ffffffffffffffffff01"},
		{(&Yield{Done: &Done{}}).Append(nil), "0a00"},
		{(&Yield{Failed: &Failed{Error: &Error{Type: "t", Message: "m"}}}).Append(nil), "12080a060a017412016d"},
		{(&Resume{Answers: []Answer{{HasResult: true}, {Error: &Error{Type: "t"}}, {}}}).Append(nil), "0a020a000a0512030a01740a00"},
	} {
		if got := hex.EncodeToString(c.b); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x0a\x03pay\x12\x02{}\x22\x05\x0a\x03O=A\x40\x01"))
	f.Add([]byte("\x1a\x0e\x0a\x06\x0a\x04\x08\xc0\x84\x3d\x0a\x02\x12\x00\x0a\x00"))
	f.Add([]byte("\x0a\x02\x0a\x00\x0a\x05\x12\x03\x0a\x01t\xf9\x01\x01\x02\x03\x04\x05\x06\x07\x08"))
	f.Fuzz(func(t *testing.T, b []byte) {
		stable(t, b, func(b []byte) ([]byte, error) { var m Start; err := m.Decode(b); return m.Append(nil), err })
		stable(t, b, func(b []byte) ([]byte, error) { var m Yield; err := m.Decode(b); return m.Append(nil), err })
		stable(t, b, func(b []byte) ([]byte, error) { var m Resume; err := m.Decode(b); return m.Append(nil), err })
	})
}

// stable checks that what was decoded is encoded, decoded and encoded to the same bytes.
func stable(t *testing.T, b []byte, again func([]byte) ([]byte, error)) {
	first, err := again(b)
	if err != nil {
		return
	}
	second, err := again(first)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("%x was encoded as %x and then as %x, %v", b, first, second, err)
	}
}
