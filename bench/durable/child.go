package main

import (
	"context"
	"flag"
	"fmt"
	"runtime/debug"
)

// The kinds of a [child].
const (
	childRestate  = "restate"
	childTemporal = "temporal"
)

// child is this program run as a worker.
type child struct {
	kind string
	// address is where the worker listens, or where its server does.
	address string
}

func (c *child) flags() {
	flag.StringVar(&c.kind, "child", "", "for this program's own use: the worker to be")
	flag.StringVar(&c.address, "address", "", "for this program's own use")
}

func (c child) args() []string { return []string{"-child", c.kind, "-address", c.address} }

func (c child) run(ctx context.Context) error {
	switch c.kind {
	case childRestate:
		return restateWorker(ctx, c.address)
	case childTemporal:
		return temporalWorker(ctx, c.address)
	default:
		return fmt.Errorf("-child: there is no worker %q", c.kind)
	}
}

// moduleVersion is the version of a module that this program is built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "unknown"
}
