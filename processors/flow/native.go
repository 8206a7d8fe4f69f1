package flow

import (
	"context"

	"github.com/fairleadio/fairlead/internal/native"
)

// FromNative runs every flow in a developer's native program, whatever module its package holds.
func FromNative(h *native.Host) Sandbox { return nativeSandbox{h} }

type nativeSandbox struct{ h *native.Host }

func (s nativeSandbox) Module([32]byte) (Module, bool) { return s, true }

func (s nativeSandbox) Install(context.Context, []byte) (Module, error) { return s, nil }

func (s nativeSandbox) NewInstance(_ context.Context, seed [32]byte, log func(line string)) (Instance, error) {
	return s.h.NewInstance(seed, log), nil
}
