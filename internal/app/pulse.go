package app

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/fairleadio/fairlead/internal/postgres"
)

// pulse is the pulse of the server of a URL, one for each server of the process: databases on one server share it.
func (a *App) pulse(ctx context.Context, key, url, password string) (*postgres.Pulse, error) {
	p, err := postgres.NewPulse(ctx, postgres.PulseConfig{Server: postgres.Config{URL: url, Password: password}, Log: a.log})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	if known := a.pulses[p.Host()]; known != nil {
		p.Close()
		return known, nil
	}
	if a.pulses == nil {
		a.pulses = map[string]*postgres.Pulse{}
	}
	a.pulses[p.Host()] = p
	a.onClose(func() error { p.Close(); return nil })
	a.beside("pulse of Postgres "+p.Host(), p.Run)
	return p, nil
}

// connecting tells the pulse of a server of a connection that is being made to it. A virtual node's own server has none:
// this process has no log-in there but the virtual node's.
func (a *App) connecting(host string) (made func(error)) {
	if p := a.pulses[host]; p != nil {
		return p.Connecting()
	}
	return func(error) {}
}

// waiting says which servers are waited for.
func (a *App) waiting() []string {
	var out []string
	for _, host := range slices.Sorted(maps.Keys(a.pulses)) {
		if w := a.pulses[host].Waiting(); w != "" {
			out = append(out, w)
		}
	}
	return out
}
