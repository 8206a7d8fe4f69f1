package sandbox_test

import (
	"bytes"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	wt "github.com/fairleadio/fairlead/internal/sandbox/wasmtest"

	"github.com/fairleadio/fairlead/internal/sandbox"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// verifier is a module of contracts whose fairlead_verify returns these bytes.
func verifier(verdict []byte, imports ...string) []byte {
	m := &wt.Module{}
	void := m.Type(nil, nil)
	for _, name := range imports {
		m.Import("env", name, void)
	}
	abi, alloc, verify := m.Type(nil, []byte{wt.I32}), m.Type([]byte{wt.I32}, []byte{wt.I32}), m.Type([]byte{wt.I32, wt.I32}, []byte{wt.I64})
	m.Memory(0, 1)
	var store [][]byte
	for i, b := range verdict {
		store = append(store, wt.I32Const(int32(512+i)), wt.I32Const(int32(b)), []byte{0x3A, 0, 0})
	}
	m.Export("memory", 2, 0)
	m.Export("_initialize", 0, m.Func(void, nil))
	m.Export("fairlead_abi", 0, m.Func(abi, nil, wt.I32Const(1)))
	m.Export("fairlead_alloc", 0, m.Func(alloc, nil, wt.I32Const(1024)))
	m.Export("fairlead_verify", 0, m.Func(verify, nil, append(store, wt.I64Const(512<<32|int64(len(verdict))))...))
	return m.Bytes()
}

func TestVerdicts(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	rejected := func(all ...*appv1.Rejection) proto.Message {
		return &appv1.Verdict{Outcome: &appv1.Verdict_Rejected{Rejected: &appv1.Rejected{Rejections: all}}}
	}
	for name, c := range map[string]struct {
		verdict []byte
		want    string
	}{
		"accepted":               {encode(t, &appv1.Verdict{Outcome: &appv1.Verdict_Accepted{Accepted: &appv1.Accepted{}}}), ""},
		"rejected":               {encode(t, rejected(&appv1.Rejection{Message: "no"})), ""},
		"nothing":                {nil, "neither for nor against"},
		"rejected for no reason": {encode(t, rejected()), "does not say why"},
		"an empty reason":        {encode(t, rejected(&appv1.Rejection{Component: "output 0"})), "does not say why"},
		"no message":             {[]byte{0xff}, "cannot be decoded"},
		"an unknown field":       {[]byte{0x0a, 0x00, 0x78, 0x01}, "canonical"},
		"a long varint":          {[]byte{0x0a, 0x80, 0x00}, "canonical"},
	} {
		m, err := r.Install(t.Context(), verifier(c.verdict))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		v, used, err := m.Judge(t.Context(), [32]byte{}, []byte("x"), nil)
		switch {
		case c.want == "" && (err != nil || !bytes.Equal(encode(t, v), c.verdict) || used == 0):
			t.Errorf("%s: %v, %d units, %v", name, v, used, err)
		case c.want != "" && (sandbox.KindOf(err) != sandbox.BadYield || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestContractNames(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	names := func(all ...string) []byte {
		return encode(t, &appv1.Verdict{Outcome: &appv1.Verdict_Contracts{Contracts: &appv1.Contracts{Names: all}}})
	}
	for name, c := range map[string]struct {
		verdict []byte
		want    string
	}{
		"some": {names("a", "b"), "[a b]"}, "none": {names(), "[]"}, "unordered": {names("b", "a"), "not in order"}, "twice": {names("a", "a"), "there twice"},
		"a verdict": {encode(t, &appv1.Verdict{Outcome: &appv1.Verdict_Accepted{Accepted: &appv1.Accepted{}}}), "answers with a verdict"},
	} {
		m, err := r.Install(t.Context(), verifier(c.verdict))
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Contracts(t.Context())
		if text := "[" + strings.Join(got, " ") + "]"; err == nil && text != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	m, err := r.Install(t.Context(), guest(t, hello))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := m.Contracts(t.Context()); err != nil || got != nil {
		t.Errorf("a module of flows: %v, %v", got, err)
	}
	if _, _, err := m.Judge(t.Context(), [32]byte{}, nil, nil); sandbox.KindOf(err) != sandbox.Rejected {
		t.Errorf("a module of flows is asked: %v", err)
	}
}

// What a contract would call on its host is not there: the module is refused when it is installed.
func TestHostFunctionsThatContractsDoNotHave(t *testing.T) {
	r := newRuntime(t, sandbox.Config{})
	if _, err := r.Install(t.Context(), verifier(nil, "now")); sandbox.KindOf(err) != sandbox.Rejected || !strings.Contains(err.Error(), "env.now") {
		t.Errorf("%v", err)
	}
}
