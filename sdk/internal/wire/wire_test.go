package wire

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// Golden encodings, as the Protobuf library of the host writes them.
func TestGolden(t *testing.T) {
	ask := func(o ...Operation) Message {
		r := &Requests{}
		for _, o := range o {
			r.Requests = append(r.Requests, Request{o})
		}
		return &Yield{Requests: r}
	}
	for _, c := range []struct {
		m    Message
		want string
	}{
		{&Start{
			FlowClass: "pay", Input: []byte("{}"), FlowID: []byte{1, 2}, Me: &Identity{X500Name: "O=A", GroupID: "g", ShortHash: "AB"},
			ClientRequestID: "r", Properties: []Property{{Name: "n"}, {Name: "k", Value: "v"}}, Session: &Session{ID: "s", ProtocolVersion: 300}, Attempt: 1,
		}, "0a0370617912027b7d1a020102220c0a034f3d41120167" + "1a024142" + "2a0172" + "32030a016e" + "32060a016b120176" + "3a060a017320ac02" + "4001"},
		{ask(&Sleep{DurationUS: 1_000_000}, &Checkpoint{}, nil), "1a0e0a060a0408c0843d0a0212000a00"},
		{ask(&Sleep{DurationUS: -1}), "1a0f0a0d0a0b08ffffffffffffffffff01"},
		{&Yield{Done: &Done{}}, "0a00"},
		{&Yield{Failed: &Failed{Error: &Error{Type: "t", Message: "m"}}}, "12080a060a017412016d"},
		{&Resume{Answers: []Answer{{HasResult: true}, {Error: &Error{Type: "t"}}, {}}}, "0a020a000a0512030a01740a00"},
		{&OpenSession{Counterparty: "O=B", Protocol: "p", Versions: []uint32{1, 300}, CloseNotRequired: true, TimeoutUS: 5}, "0a034f3d42" + "120170" + "1a0301ac02" + "2001" + "2805"},
		{&SendMessage{SessionID: "s", Payload: []byte(strings.Repeat("x", 200)), More: true}, "0a0173" + "12c801" + strings.Repeat("78", 200) + "1801"},
		{ask(&SendMessage{Payload: []byte(strings.Repeat("x", 200))}), "1ad101" + "0ace01" + "5acb01" + "12c801" + strings.Repeat("78", 200)},
		{&Rows{Rows: [][]byte{{}, []byte("{}")}}, "0a00" + "0a027b7d"},
	} {
		if got := hex.EncodeToString(Encode(c.m)); got != c.want {
			t.Errorf("%#v\ngot  %s\nwant %s", c.m, got, c.want)
		}
	}
}

// Numbers that stand one by one are the same list.
func TestNumbersOneByOne(t *testing.T) {
	var m OpenSession
	if err := Decode([]byte{0x18, 1, 0x1a, 2, 2, 3}, &m); err != nil || len(m.Versions) != 3 || m.Versions[2] != 3 {
		t.Errorf("%v, %v", m.Versions, err)
	}
}

// Every operation is found by its number.
func TestOperations(t *testing.T) {
	names := map[string]bool{}
	for n := range 100 {
		o := operation(n)
		if o == nil {
			continue
		}
		if o.number() != n || o.Name() == "" || names[o.Name()] {
			t.Errorf("operation %d is %d %q", n, o.number(), o.Name())
		}
		names[o.Name()] = true
	}
	if len(names) != 27 {
		t.Errorf("%d operations", len(names))
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x0a\x03pay\x12\x02{}\x22\x05\x0a\x03O=A\x40\x01"))
	f.Add([]byte("\x1a\x0e\x0a\x06\x0a\x04\x08\xc0\x84\x3d\x0a\x02\x12\x00\x0a\x00"))
	f.Add([]byte("\x0a\x02\x0a\x00\x0a\x05\x12\x03\x0a\x01t\xf9\x01\x01\x02\x03\x04\x05\x06\x07\x08"))
	f.Add([]byte("\x1a\x0f\x0a\x0d\x52\x0b\x0a\x03O=B\x1a\x02\x01\x02\x20\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, empty := range []func() Message{
			func() Message { return &Start{} }, func() Message { return &Yield{} }, func() Message { return &Resume{} },
			func() Message { return &OpenedSession{} }, func() Message { return &ReceivedMessage{} },
			func() Message { return &SessionInfoResult{} }, func() Message { return &Signature{} }, func() Message { return &Keys{} },
			func() Message { return &Rows{} }, func() Message { return &Page{} }, func() Message { return &Members{} }, func() Message { return &UniquenessAnswer{} },
			func() Message { return &TokenClaim{} }, func() Message { return &TokenAmounts{} },
		} {
			stable(t, b, empty)
		}
	})
}

// stable checks that what was decoded is encoded, decoded and encoded to the same bytes.
func stable(t *testing.T, b []byte, empty func() Message) {
	m := empty()
	if Decode(b, m) != nil {
		return
	}
	first := Encode(m)
	m = empty()
	if err := Decode(first, m); err != nil || !bytes.Equal(first, Encode(m)) {
		t.Errorf("%T: %x was encoded as %x and then as %x, %v", m, b, first, Encode(m), err)
	}
}
