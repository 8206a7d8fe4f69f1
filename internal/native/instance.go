package native

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
)

// MismatchError tells that a program that was started anew does something else than the one before.
type MismatchError struct {
	// Step is the flow's step, counted from 1.
	Step int
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("the application's program was started anew and asks for something else in step %d: a flow that is under way needs the same code up to where it stands", e.Step)
}

// crashes is how often a step may end the program before its flow is given up. A flow that was only running beside the
// one at fault gets further meanwhile.
const crashes = 3

// CrashError tells that the program ended by itself whenever the flow ran a step.
type CrashError struct {
	// Reason is the panic with its stack, or how else the program ended.
	Reason string
}

func (e *CrashError) Error() string { return e.Reason }

// Instance is one flow in the program. It is used by one goroutine at a time.
type Instance struct {
	host  *Host
	seed  [32]byte
	log   func(string)
	prog  *program
	id    uint64
	calls []done
}

// done is a step that was run, for a program that is started anew.
type done struct {
	kind    byte
	content []byte
	yield   []byte
}

// NewInstance returns an instance for a flow, whose random numbers come from the seed; log takes its lines. Nothing is
// asked of the program yet.
func (h *Host) NewInstance(seed [32]byte, log func(string)) *Instance {
	return &Instance{host: h, seed: seed, log: log}
}

// Start runs the flow's first step: start is an encoded fairlead.app.v1.Start, the result an encoded Yield. It waits for
// a program.
func (i *Instance) Start(ctx context.Context, nowMicros int64, start []byte) ([]byte, error) {
	content := binary.BigEndian.AppendUint64(nil, uint64(nowMicros))
	return i.step(ctx, kindStart, append(append(content, i.seed[:]...), start...))
}

// Resume runs the next step: resume is an encoded fairlead.app.v1.Resume.
func (i *Instance) Resume(ctx context.Context, nowMicros int64, resume []byte) ([]byte, error) {
	return i.step(ctx, kindResume, append(binary.BigEndian.AppendUint64(nil, uint64(nowMicros)), resume...))
}

func (i *Instance) step(ctx context.Context, kind byte, content []byte) ([]byte, error) {
	crashed := 0
	for {
		before, _ := i.host.lastEnd()
		err := i.place(ctx)
		if err != nil && !errors.Is(err, errGone) {
			return nil, err
		}
		var y []byte
		if err == nil {
			y, err = i.prog.step(ctx, i.id, kind, content, i.log)
		}
		if err == nil {
			i.calls = append(i.calls, done{kind, content, y})
			return y, nil
		}
		if !errors.Is(err, errGone) {
			return nil, err
		}
		if _, err := i.host.program(ctx); err != nil { // whoever starts the next has told how the last one ended
			return nil, err
		}
		if ends, reason := i.host.lastEnd(); ends > before {
			if crashed++; crashed >= crashes {
				return nil, &CrashError{Reason: fmt.Sprintf("the application's program ended %d times in this step, the last time so: %s", crashed, reason)}
			}
		}
	}
}

// place finds the program that is here, and brings this flow in it to where it stands.
func (i *Instance) place(ctx context.Context) error {
	p, err := i.host.program(ctx)
	if err != nil || p == i.prog {
		return err
	}
	i.prog, i.id = nil, i.host.id()
	for n, c := range i.calls {
		y, err := p.step(ctx, i.id, c.kind, c.content, func(string) {}) // what it says was said before
		if err != nil {
			return err
		}
		if !bytes.Equal(y, c.yield) {
			return &MismatchError{Step: n + 1}
		}
	}
	i.prog = p
	return nil
}

// MemoryBytes is what the instance takes here: the steps that it keeps.
func (i *Instance) MemoryBytes() int {
	n := 1 << 10
	for _, c := range i.calls {
		n += len(c.content) + len(c.yield)
	}
	return n
}

// Release lets the flow go.
func (i *Instance) Release(context.Context) {
	if i.prog != nil {
		_ = i.prog.send(i.id, kindRelease, nil) // a program that is gone has let it go
	}
	i.prog, i.calls = nil, nil
}
