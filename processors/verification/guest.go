package verification

import (
	"context"

	"github.com/fairleadio/fairlead/internal/sandbox"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// Module is an installed module; *sandbox.Module is one.
type Module interface {
	// Judge has a contract look at a transaction in a fresh instance; used is how many units of the meter it took.
	Judge(ctx context.Context, seed [32]byte, request []byte, log func(line string)) (v *appv1.Verdict, used int64, err error)
}

// FromSandbox is the real sandbox.
func FromSandbox(r *sandbox.Runtime) Sandbox { return runtimeSandbox{r} }

type runtimeSandbox struct{ r *sandbox.Runtime }

func (s runtimeSandbox) Module(sha [32]byte) (Module, bool) {
	if m, ok := s.r.Module(sha); ok {
		return m, true
	}
	return nil, false
}

func (s runtimeSandbox) Install(ctx context.Context, wasm []byte) (Module, error) {
	m, err := s.r.Install(ctx, wasm)
	if err != nil {
		return nil, err
	}
	return m, nil
}

func (s runtimeSandbox) Uninstall(ctx context.Context, sha [32]byte) (bool, error) {
	return s.r.Uninstall(ctx, sha)
}
