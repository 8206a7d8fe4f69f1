package flow

import (
	"context"
	"errors"
	"fmt"

	mods "github.com/fairleadio/fairlead/internal/modules"
	"github.com/fairleadio/fairlead/internal/native"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Sandbox runs modules; see [FromSandbox].
type Sandbox interface {
	// Module returns an installed module.
	Module(sha [32]byte) (Module, bool)
	// Install makes a module ready; it may take seconds, and nothing when it is ready already.
	Install(ctx context.Context, wasm []byte) (Module, error)
	// Uninstall gives a module's memory back, unless an instance of it is in use.
	Uninstall(ctx context.Context, sha [32]byte) (gone bool, err error)
}

// Module is an installed module.
type Module interface {
	// NewInstance returns a fresh instance whose random bytes come from the seed; log takes its lines of output.
	NewInstance(ctx context.Context, seed [32]byte, log func(line string)) (Instance, error)
}

// Instance is one flow's memory.
type Instance interface {
	journal.Instance
	// MemoryBytes is what it takes.
	MemoryBytes() int
	// Instructions is how many units of the meter the last call took.
	Instructions() int64
	// Release gives it back.
	Release(ctx context.Context)
}

// FromSandbox is the real sandbox.
func FromSandbox(r *sandbox.Runtime) Sandbox { return runtimeSandbox{r} }

type runtimeSandbox struct{ r *sandbox.Runtime }

func (s runtimeSandbox) Module(sha [32]byte) (Module, bool) {
	m, ok := s.r.Module(sha)
	return runtimeModule{m}, ok
}

func (s runtimeSandbox) Install(ctx context.Context, wasm []byte) (Module, error) {
	m, err := s.r.Install(ctx, wasm)
	if err != nil {
		return nil, err
	}
	return runtimeModule{m}, nil
}

func (s runtimeSandbox) Uninstall(ctx context.Context, sha [32]byte) (bool, error) {
	return s.r.Uninstall(ctx, sha)
}

type runtimeModule struct{ m *sandbox.Module }

func (m runtimeModule) NewInstance(ctx context.Context, seed [32]byte, log func(line string)) (Instance, error) {
	i, err := m.m.NewInstance(ctx, sandbox.Env{Seed: seed, Log: log})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// IsGuestFault tells whether an error is a module's own doing and comes again whenever the same step is run.
func IsGuestFault(err error) bool {
	return mods.IsFault(err)
}

// faultOf says what an error of a guest means for its flow. Park tells that the flow is not to blame.
func faultOf(err error) (e *flowv1.FlowError, park bool) {
	detail := validText(err.Error())
	var other *native.MismatchError
	if errors.As(err, &other) {
		return platformError(ErrDeterminism, "%s; retry it from an earlier step, or kill it", detail), true
	}
	switch sandbox.KindOf(err) {
	case sandbox.OutOfInstructions:
		return limitError(ErrInstructions, "a step ran longer than its instruction budget (%s): look for a loop, or put ctx.Checkpoint() between the parts of the work", detail), false
	case sandbox.OutOfMemory, sandbox.OutOfStack:
		return limitError(ErrMemory, "the flow needs more memory than it may have (%s): keep less at once", detail), false
	case sandbox.ResultTooLarge, sandbox.ArgumentTooLarge:
		return limitError(ErrTooLarge, "what a step takes or returns is too large (%s): send less at once", detail), false
	case sandbox.Panic, sandbox.Exit, sandbox.Trap:
		return platformError(ErrCrashed, "the flow's program crashed (%s)", detail), false
	case sandbox.BadYield, sandbox.Rejected:
		return platformError(ErrInterface, "the module does not keep to the guest interface (%s): build it with an SDK of this version", detail), false
	default:
		return platformError(ErrWorker, "the worker could not run the module (%s): resume the flow when it is well again", detail), true
	}
}

// replayFault says what an error of a replay means for its flow, which is parked in any case.
func replayFault(err error) *flowv1.FlowError {
	var mismatch *journal.MismatchError
	switch {
	case errors.As(err, &mismatch):
		return platformError(ErrDeterminism, "%s; retry from an earlier step, or kill the flow", validText(mismatch.Error()))
	case sandbox.KindOf(err) != "":
		e, _ := faultOf(err)
		return e
	default:
		return platformError(ErrJournal, "%s; retry from an earlier step, or kill the flow", validText(err.Error()))
	}
}

// panicError is a fault of the host's while it ran a guest.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guarded runs a guest so that a fault of the host's in it costs the flow and not the partition.
func guarded(f func() ([]byte, error)) (yield []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{r}
		}
	}()
	return f()
}
