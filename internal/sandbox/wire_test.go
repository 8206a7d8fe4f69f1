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
	"google.golang.org/protobuf/reflect/protoreflect"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// sdkWire is the SDK's own encoder, in a process of its own because the SDK's internal packages cannot be imported
// here.
type sdkWire struct {
	in  io.WriteCloser
	out *bufio.Reader
}

func newSDKWire(t testing.TB) *sdkWire {
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
func (w *sdkWire) again(t testing.TB, name string, message []byte) (b []byte, ok bool) {
	t.Helper()
	frame := append(binary.BigEndian.AppendUint32([]byte{byte(len(name))}, uint32(len(message))), name...)
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

// travellers are the messages that travel by themselves; all others lie in them. A new operation or field is filled by
// randomMessage as soon as it is in the schema, so that a test fails until the SDK knows it.
var travellers = []proto.Message{
	&appv1.Start{}, &appv1.Yield{}, &appv1.Resume{}, &appv1.OpenedSession{}, &appv1.ReceivedMessage{}, &appv1.SessionInfoResult{},
	&appv1.Signature{}, &appv1.Keys{}, &appv1.Rows{}, &appv1.Page{}, &appv1.Members{}, &appv1.UniquenessAnswer{},
	&appv1.VerifyRequest{}, &appv1.Verdict{}, &appv1.Verification{},
	&appv1.PersistedTransaction{}, &appv1.FoundTransaction{}, &appv1.TransactionStatuses{}, &appv1.RepairAttempts{}, &appv1.StatePage{},
	&appv1.ResolvedStates{}, &appv1.FoundFilteredTransactions{}, &appv1.SignedGroupParameters{}, &appv1.TransactionSignatures{}, &appv1.LedgerDescription{},
	&appv1.MissingPackages{}, &appv1.PackagePart{},
	&appv1.TokenClaim{}, &appv1.TokenRelease{}, &appv1.TokenAmounts{},
}

// TestWireIsProtobuf compares the SDK's encoder with the Protobuf library on random messages, and on random damage
// to them.
func TestWireIsProtobuf(t *testing.T) {
	w := newSDKWire(t)
	r := rand.New(rand.NewPCG(1, 2))
	decoded := 0
	for n := range 4000 {
		m := travellers[n%len(travellers)].ProtoReflect().New().Interface()
		fill(r, m.ProtoReflect())
		want := encode(t, m)
		got, ok := w.again(t, string(m.ProtoReflect().Descriptor().Name()), want)
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
		if compare(t, w, m, damaged) {
			decoded++
		}
	}
	if decoded < 300 {
		t.Errorf("only %d damaged messages were decoded", decoded)
	}
}

// FuzzWireIsProtobuf compares both on bytes that the fuzzer finds.
func FuzzWireIsProtobuf(f *testing.F) {
	w := newSDKWire(f)
	r := rand.New(rand.NewPCG(3, 4))
	for i, m := range travellers {
		m = m.ProtoReflect().New().Interface()
		fill(r, m.ProtoReflect())
		f.Add(uint8(i), encode(f, m))
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) { compare(t, w, travellers[int(which)%len(travellers)], b) })
}

// compare checks that what the SDK decodes, the library does too, and that both then write the same. It tells whether
// the SDK did.
func compare(t *testing.T, w *sdkWire, of proto.Message, b []byte) bool {
	t.Helper()
	got, ok := w.again(t, string(of.ProtoReflect().Descriptor().Name()), b)
	if !ok {
		return false
	}
	m := of.ProtoReflect().New().Interface()
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		t.Fatalf("the SDK decodes %x, the library says %v", b, err)
	}
	if want := encode(t, m); !bytes.Equal(got, want) {
		t.Fatalf("damaged %x\nSDK      %x\nlibrary  %x", b, got, want)
	}
	return true
}

// fill sets random fields of a message, as its descriptor says.
func fill(r *rand.Rand, m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	only := map[protoreflect.Name]protoreflect.FieldNumber{} // of each oneof
	for i := range m.Descriptor().Oneofs().Len() {
		choices := m.Descriptor().Oneofs().Get(i)
		only[choices.Name()] = choices.Fields().Get(r.IntN(choices.Fields().Len())).Number()
	}
	for i := range fields.Len() {
		f := fields.Get(i)
		switch choice := f.ContainingOneof(); {
		case choice != nil && (only[choice.Name()] != f.Number() || r.IntN(8) == 0), choice == nil && r.IntN(4) == 0:
		case f.IsList():
			list := m.Mutable(f).List()
			for range r.IntN(4) {
				if f.Kind() == protoreflect.MessageKind {
					fill(r, list.AppendMutable().Message())
				} else {
					list.Append(randomValue(r, f.Kind()))
				}
			}
		case f.Kind() == protoreflect.MessageKind:
			fill(r, m.Mutable(f).Message())
		default:
			m.Set(f, randomValue(r, f.Kind()))
		}
	}
}

func randomValue(r *rand.Rand, kind protoreflect.Kind) protoreflect.Value {
	text := func() string {
		b := make([]rune, r.IntN(3)*r.IntN(100))
		for i := range b {
			b[i] = rune(' ' + r.IntN(300))
		}
		return string(b)
	}
	switch kind { //nolint:exhaustive // the guest interface has no others
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(r.IntN(2) == 0)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(r.Uint32() >> r.IntN(33))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(r.Uint64() >> r.IntN(65))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(r.Uint32()) >> r.IntN(32))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(r.Uint32()) >> r.IntN(32)))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(r.Uint64() >> r.IntN(65)))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(text()))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(text())
	}
	panic("the interface has no fields of kind " + kind.String())
}
