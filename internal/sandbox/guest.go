package sandbox

import (
	"context"
	"encoding/binary"
	"strings"
	"time"

	"github.com/tetratelabs/wazero/api"
	"golang.org/x/crypto/chacha20"
)

// guest is the host's side of one instance: all that its imported functions read and change.
type guest struct {
	mem               api.Memory
	left, stack, full api.MutableGlobal

	granted int64     // instructions handed out in this call
	budget  int64     // instructions that are left to hand out
	giveUp  time.Time // the second net
	stop    error     // why the host stopped the guest; nil while it runs

	clock  int64 // nanoseconds UTC; what the next reading returns
	random *chacha20.Cipher

	log      func(string)
	line     []byte // of log, not yet complete
	logged   int    // bytes of log in this call
	lastWord []byte // end of what it wrote to standard error in this call
}

type guestKey struct{}

// guestOf finds the instance whose call this is.
func guestOf(ctx context.Context) *guest {
	g, _ := ctx.Value(guestKey{}).(*guest)
	return g
}

// begin prepares for one call of the guest.
func (g *guest) begin(ctx context.Context, nowMicros, instructions int64, wallClock time.Duration) {
	g.giveUp = time.Now().Add(wallClock)
	g.stop = nil
	g.logged, g.line, g.lastWord = 0, g.line[:0], g.lastWord[:0]
	if now := satMul(nowMicros, 1000); now > g.clock {
		g.clock = now
	}
	g.granted, g.budget = 0, instructions
	g.left.Set(0)
	g.stack.Set(0)
	g.full.Set(0)
	g.grant()
}

// grant hands out the next slice of the budget.
func (g *guest) grant() {
	n := min(g.budget, slice)
	g.budget -= n
	g.granted += n
	g.left.Set(uint64(int64(g.left.Get()) + n))
}

// used is how many instructions the current or last call took.
func (g *guest) used() int64 { return g.granted - int64(g.left.Get()) }

// charge takes the cost of a host function. What goes below zero is found by the guest's next check.
func (g *guest) charge(data uint32) {
	g.left.Set(uint64(int64(g.left.Get()) - hostCallCost - int64(data)))
}

// more is called by the guest when its slice is used up. It grants more or stops the guest.
func (g *guest) more(ctx context.Context, _ []uint64) {
	for int64(g.left.Get()) < 0 {
		switch {
		case g.budget <= 0:
			g.halt(failed(OutOfInstructions, "the step used its budget of %d instructions; split the work with a checkpoint or sleep, or do less", g.granted))
		case ctx.Err() != nil:
			g.halt(context.Cause(ctx))
		case time.Now().After(g.giveUp):
			g.halt(failed(OutOfTime, "the step was stopped by the clock after %d of %d instructions", g.used(), g.granted+g.budget))
		}
		g.grant()
	}
}

// halt unwinds the guest. The runtime recovers it at the call that the host made.
func (g *guest) halt(err error) {
	g.stop = err
	panic(err)
}

// now reads the clock, which then moves on by a microsecond.
func (g *guest) now() uint64 {
	t := g.clock
	g.sleep(1000)
	return uint64(t)
}

// sleep moves the clock on.
func (g *guest) sleep(nanos uint64) {
	if nanos > uint64(clockEnd-g.clock) {
		g.clock = clockEnd
		return
	}
	g.clock += int64(nanos)
}

// seed starts the random stream again: ChaCha20's key stream with nonce 0.
func (g *guest) seed(seed [32]byte) error {
	c, err := chacha20.NewUnauthenticatedCipher(seed[:], make([]byte, chacha20.NonceSize))
	if err != nil {
		return err
	}
	g.random = c
	return nil
}

// write takes what the guest wrote to file 1 or 2.
func (g *guest) write(fd uint32, b []byte) {
	if fd == 2 {
		g.lastWord = append(g.lastWord, b[max(0, len(b)-maxLastWord):]...)
		g.lastWord = g.lastWord[max(0, len(g.lastWord)-maxLastWord):]
	}
	if g.log == nil || g.logged > maxLogStep {
		return
	}
	for len(b) > 0 && g.logged <= maxLogStep {
		text, rest, ended := cut(b)
		b = rest
		g.logged += len(text) + 1
		g.line = append(g.line, text[:max(0, min(len(text), maxLogLine-len(g.line)))]...)
		if ended {
			g.flush()
		}
	}
	if g.logged > maxLogStep {
		g.flush()
		g.log("(the rest of this step's log is left out: it is over 64 KiB)")
	}
}

// flush hands over the line so far.
func (g *guest) flush() {
	if g.log != nil && len(g.line) > 0 {
		g.log(strings.ToValidUTF8(string(g.line), "\uFFFD"))
	}
	g.line = g.line[:0]
}

func cut(b []byte) (line, rest []byte, ended bool) {
	for i, c := range b {
		if c == '\n' {
			return b[:i], b[i+1:], true
		}
	}
	return b, nil, false
}

func satMul(a, b int64) int64 {
	if a > clockEnd/b {
		return clockEnd
	}
	return max(a, 0) * b
}

var le = binary.LittleEndian
