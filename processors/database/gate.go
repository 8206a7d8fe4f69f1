package database

import (
	"errors"
	"fmt"
	"sync"
)

// Pauser is the engine of the group.
type Pauser interface {
	// Pause stops fetching, and Resume goes on.
	Pause(reason string)
	Resume()
}

// gate is shut while Postgres is away: nothing is fetched, and the records that are in hand wait.
type gate struct {
	mu     sync.Mutex
	reason string
	engine Pauser
	// shutting is sent to when the gate shuts, so that somebody looks when to open it.
	shutting chan struct{}
}

func newGate() *gate {
	return &gate{reason: "Postgres was not reached yet", shutting: make(chan struct{}, 1)}
}

// bind hands the engine over; it is paused as long as the gate is shut.
func (g *gate) bind(e Pauser) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.engine = e
	if g.reason != "" {
		e.Pause(g.reason)
	}
}

// shut is called by whoever finds Postgres away.
func (g *gate) shut(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason != "" {
		return
	}
	g.reason = fmt.Sprintf("Postgres is away: %v", err)
	if g.engine != nil {
		g.engine.Pause(g.reason)
	}
	select {
	case g.shutting <- struct{}{}:
	default: // somebody looks already
	}
}

// open is called when Postgres answers.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reason = ""
	if g.engine != nil {
		g.engine.Resume()
	}
}

// closed returns why the gate is shut, nil when it is open.
func (g *gate) closed() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reason == "" {
		return nil
	}
	return errors.New(g.reason)
}
