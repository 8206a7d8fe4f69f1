//go:build !linux

package sandbox

import (
	"errors"
	"log/slog"
)

// canMap tells that base images can be mapped.
const canMap = false

type sharedImage struct{}

func newSharedImage([]byte) (*sharedImage, error) { return nil, nil }

func (*sharedImage) close() error { return nil }

type linear struct{}

func newLinear(uint64) *linear { return nil }

func (*linear) Reallocate(uint64) []byte { return nil }

func (*linear) Free() {}

func (*linear) shared() *sharedImage { return nil }

func (*linear) cool() error { return errors.New("images are not mapped here") }

func (*linear) show(*sharedImage, *pageMap) (bool, error) { return false, nil }

type pageMap struct{ log *slog.Logger }

func (*pageMap) own(*linear, int) (int, bool) { return 0, false }

func (*pageMap) close() error { return nil }
