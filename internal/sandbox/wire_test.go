package sandbox_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// sdkWire is the SDK's own encoder, in a process of its own because the SDK's internal packages cannot be imported
// here.
type sdkWire struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func newSDKWire(t *testing.T) *sdkWire {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "wireecho")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "./internal/wire/wireecho")
	build.Dir = "../../sdk"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build wireecho: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), bin) // ends when its input does
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	})
	return &sdkWire{in: in, out: bufio.NewReader(out)}
}

// again decodes and encodes a message with the SDK. ok is false when the SDK does not decode it.
func (w *sdkWire) again(t *testing.T, kind byte, message []byte) (b []byte, ok bool) {
	t.Helper()
	frame := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(message)))
	if _, err := w.in.Write(append(frame, message...)); err != nil {
		t.Fatal(err)
	}
	var head [5]byte
	if _, err := io.ReadFull(w.out, head[:]); err != nil {
		t.Fatal(err)
	}
	b = make([]byte, binary.BigEndian.Uint32(head[1:]))
	if _, err := io.ReadFull(w.out, b); err != nil {
		t.Fatal(err)
	}
	return b, head[0] == 0
}

// TestWireIsProtobuf compares the SDK's encoder with the Protobuf library on random messages, and on random damage
// to them.
func TestWireIsProtobuf(t *testing.T) {
	w := newSDKWire(t)
	r := rand.New(rand.NewPCG(1, 2))
	decoded := 0
	for range 3000 {
		kind, m := randomMessage(r)
		want := encode(t, m)
		got, ok := w.again(t, kind, want)
		if !ok || !bytes.Equal(got, want) {
			t.Fatalf("%v\nSDK      %x\nlibrary  %x", m, got, want)
		}
		if len(want) == 0 {
			continue
		}
		damaged := bytes.Clone(want)
		for range 1 + r.IntN(3) {
			damaged[r.IntN(len(damaged))] = byte(r.Uint32())
		}
		got, ok = w.again(t, kind, damaged)
		if !ok {
			continue
		}
		other := m.ProtoReflect().New().Interface()
		if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(damaged, other); err != nil {
			t.Fatalf("the SDK decodes %x, the library says %v", damaged, err)
		}
		if want := encode(t, other); !bytes.Equal(got, want) {
			t.Fatalf("damaged %x\nSDK      %x\nlibrary  %x", damaged, got, want)
		}
		decoded++
	}
	if decoded < 300 {
		t.Errorf("only %d damaged messages were decoded", decoded)
	}
}

func randomMessage(r *rand.Rand) (byte, proto.Message) {
	text := func() string {
		if r.IntN(4) == 0 {
			return ""
		}
		b := make([]rune, r.IntN(200))
		for i := range b {
			b[i] = rune(' ' + r.IntN(300))
		}
		return string(b)
	}
	data := func() []byte { return []byte(text()) }
	fail := func() *appv1.Error {
		if r.IntN(4) == 0 {
			return nil
		}
		return &appv1.Error{Type: text(), Message: text()}
	}
	switch r.IntN(3) {
	case 0:
		s := &appv1.Start{FlowClass: text(), Input: data(), FlowId: data(), ClientRequestId: text(), Attempt: r.Uint32() >> r.IntN(33)}
		if r.IntN(2) == 0 {
			s.Me = &appv1.Identity{X500Name: text(), GroupId: text(), ShortHash: text()}
		}
		for range r.IntN(4) {
			s.Properties = append(s.Properties, &appv1.Property{Name: text(), Value: text()})
		}
		if r.IntN(2) == 0 {
			s.Session = &appv1.Session{Id: text(), CounterpartyX500Name: text(), Protocol: text(), ProtocolVersion: r.Uint32() >> r.IntN(33)}
		}
		return 'S', s
	case 1:
		switch r.IntN(4) {
		case 0:
			return 'Y', &appv1.Yield{}
		case 1:
			return 'Y', &appv1.Yield{Outcome: &appv1.Yield_Done{Done: &appv1.Done{Result: data()}}}
		case 2:
			return 'Y', &appv1.Yield{Outcome: &appv1.Yield_Failed{Failed: &appv1.Failed{Error: fail()}}}
		}
		q := &appv1.Requests{}
		for range r.IntN(5) {
			switch r.IntN(3) {
			case 0:
				q.Requests = append(q.Requests, &appv1.Request{})
			case 1:
				q.Requests = append(q.Requests, &appv1.Request{Operation: &appv1.Request_Checkpoint{Checkpoint: &appv1.Checkpoint{}}})
			case 2:
				d := int64(r.Uint64() >> r.IntN(65))
				q.Requests = append(q.Requests, &appv1.Request{Operation: &appv1.Request_Sleep{Sleep: &appv1.Sleep{DurationUs: d}}})
			}
		}
		return 'Y', &appv1.Yield{Outcome: &appv1.Yield_Requests{Requests: q}}
	}
	s := &appv1.Resume{}
	for range r.IntN(5) {
		a := &appv1.Answer{}
		switch r.IntN(3) {
		case 0:
			a.Outcome = &appv1.Answer_Result{Result: data()}
		case 1:
			if e := fail(); e != nil {
				a.Outcome = &appv1.Answer_Error{Error: e}
			}
		}
		s.Answers = append(s.Answers, a)
	}
	return 'R', s
}
