package flow

import (
	"context"
	"errors"

	"github.com/fairleadio/fairlead/internal/native"
	"github.com/fairleadio/fairlead/internal/sandbox"
)

// FromNative runs every flow in a developer's native program, whatever module its package holds.
func FromNative(h *native.Host) Sandbox { return nativeSandbox{h} }

type nativeSandbox struct{ h *native.Host }

func (s nativeSandbox) Module([32]byte) (Module, bool) { return s, true }

func (s nativeSandbox) Install(context.Context, []byte) (Module, error) { return s, nil }

func (s nativeSandbox) NewInstance(_ context.Context, seed [32]byte, log func(line string)) (Instance, error) {
	return nativeInstance{s.h.NewInstance(seed, log)}, nil
}

// nativeInstance has the errors of a guest.
type nativeInstance struct{ *native.Instance }

// Instructions is nothing: a native program has no meter.
func (nativeInstance) Instructions() int64 { return 0 }

func (i nativeInstance) Start(ctx context.Context, nowMicros int64, start []byte) ([]byte, error) {
	return guestErrors(i.Instance.Start(ctx, nowMicros, start))
}

func (i nativeInstance) Resume(ctx context.Context, nowMicros int64, resume []byte) ([]byte, error) {
	return guestErrors(i.Instance.Resume(ctx, nowMicros, resume))
}

func guestErrors(yield []byte, err error) ([]byte, error) {
	var crash *native.CrashError
	if errors.As(err, &crash) {
		return nil, &sandbox.Error{Kind: sandbox.Panic, Detail: crash.Reason}
	}
	return yield, err
}

// Uninstall has nothing to give back: the program is the developer's.
func (s nativeSandbox) Uninstall(context.Context, [32]byte) (bool, error) { return true, nil }
