package sandbox_test

import (
	"errors"
	"testing"

	"github.com/fairleadio/fairlead/internal/sandbox"
)

// A module goes when nobody uses it, leaves nothing behind that could be used, and may come again.
func TestUninstall(t *testing.T) {
	wasm := guest(t, rogue)
	r := newRuntime(t, sandbox.Config{})
	m, err := r.Install(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	sha := m.SHA256()
	uninstall := func(want bool) {
		t.Helper()
		gone, err := r.Uninstall(t.Context(), sha)
		if err != nil || gone != want {
			t.Fatalf("gone %v, %v; want %v", gone, err, want)
		}
	}
	first, err := m.NewInstance(t.Context(), sandbox.Env{})
	if err != nil {
		t.Fatal(err)
	}
	second, err := m.NewInstance(t.Context(), sandbox.Env{})
	if err != nil {
		t.Fatal(err)
	}
	first.Release(t.Context())
	uninstall(false) // the second is in use
	if _, ok := r.Module(sha); !ok {
		t.Fatal("a module in use is gone")
	}
	second.Release(t.Context())
	second.Release(t.Context()) // counts once
	uninstall(true)
	uninstall(true) // there is nothing left to do
	if _, ok := r.Module(sha); ok {
		t.Error("the module is still there")
	}
	if _, err := m.NewInstance(t.Context(), sandbox.Env{}); !errors.Is(err, sandbox.ErrUninstalled) {
		t.Errorf("an instance of what is gone: %v", err)
	}
	again, err := r.Install(t.Context(), wasm)
	if err != nil {
		t.Fatal(err)
	}
	i, err := again.NewInstance(t.Context(), sandbox.Env{})
	if err != nil {
		t.Fatal(err)
	}
	i.Release(t.Context())
}
