// Command rogue is an application whose flows do what flows must not do, for the sandbox's tests.
package main

import (
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
)

func init() {
	for name, f := range map[string]func(*flow.Context) (any, error){
		"loop":            loop,
		"tight-loop":      tightLoop,
		"slow-host-calls": slowHostCalls,
		"sleep-forever":   sleepForever,
		"allocate":        allocate,
		"allocate-once":   allocateOnce,
		"recurse":         recurse,
		"nil-map":         nilMap,
		"index":           index,
		"nil-pointer":     nilPointer,
		"goroutine-panic": goroutinePanic,
		"exit":            exit,
		"deadlock":        deadlock,
		"megabyte":        megabyte,
		"grow":            grow,
		"many-spans":      manySpans,
		"one-piece":       onePiece,
		"chatter":         chatter,
		"outside":         outside,
		"error":           plainError,
		"typed-error":     typedError,
		"two-waiters":     twoWaiters,
	} {
		flow.Register(name, func(ctx *flow.Context, _ struct{}) (any, error) { return f(ctx) })
	}
	flow.Register("trace", trace)
	flow.Register("echo", func(_ *flow.Context, in map[string]any) (map[string]any, error) { return in, nil })
	flow.Register("internal", func(*flow.Context, struct{}) (int, error) { return 1, nil }, flow.Internal())
	flow.Register("spin", spin)
	flow.Register("secret", secret)
}

func main() {}

func loop(*flow.Context) (any, error) {
	n := 0
	for {
		n += len(fmt.Sprint(n))
	}
}

func tightLoop(*flow.Context) (any, error) {
	for {
	}
}

func slowHostCalls(ctx *flow.Context) (any, error) {
	for {
		ctx.RandomBytes(1 << 20)
	}
}

func sleepForever(*flow.Context) (any, error) {
	for {
		time.Sleep(1000 * time.Hour)
	}
}

func allocate(*flow.Context) (any, error) {
	var all [][]byte
	for {
		all = append(all, make([]byte, 1<<16))
	}
}

func allocateOnce(*flow.Context) (any, error) {
	n := 1 << 30
	return len(make([]byte, n)), nil
}

func deeper(n int) int {
	if n < 0 {
		return 0
	}
	return deeper(n+1) + n
}

func recurse(*flow.Context) (any, error) { return deeper(0), nil }

func nilMap(*flow.Context) (any, error) {
	var m map[string]int
	m["a"] = 1
	return m, nil
}

func index(ctx *flow.Context) (any, error) {
	a := make([]int, 3)
	return a[len(ctx.FlowID())], nil
}

func nilPointer(*flow.Context) (any, error) {
	var p *strings.Builder
	return p.Len(), nil
}

func goroutinePanic(ctx *flow.Context) (any, error) {
	go func() { panic("in a goroutine") }()
	return nil, ctx.Checkpoint()
}

func exit(*flow.Context) (any, error) {
	os.Exit(3)
	return nil, nil
}

func deadlock(*flow.Context) (any, error) {
	<-make(chan int)
	return nil, nil
}

func megabyte(*flow.Context) (any, error) { return strings.Repeat("x", 1<<20), nil }

// grow needs more memory than the base image has, for one moment.
func grow(*flow.Context) (any, error) { return len(make([]byte, 20<<20)), nil }

// manySpans needs no more memory than the base image has, but as much as a flow may in pieces of all sizes.
func manySpans(*flow.Context) (any, error) {
	var kept [][]byte
	for total, n := 0, 0; total < 6<<20; n++ {
		b := make([]byte, 1<<(3+n%11))
		kept, total = append(kept, b), total+len(b)
	}
	return len(kept), nil
}

// onePiece needs it in one piece.
func onePiece(*flow.Context) (any, error) {
	n := 6 << 20
	return len(make([]byte, n)), nil
}

func chatter(*flow.Context) (any, error) {
	fmt.Println(strings.Repeat("long ", 2000))
	for n := range 10_000 {
		fmt.Println("line", n)
	}
	return nil, nil
}

// outside tries everything that reaches out of the sandbox and returns what did not fail.
func outside(*flow.Context) (any, error) {
	var reached []string
	try := func(what string, err error) {
		if err == nil {
			reached = append(reached, what)
		}
	}
	_, err := os.ReadFile("/etc/passwd")
	try("read", err)
	try("write", os.WriteFile("/tmp/x", nil, 0o600))
	try("mkdir", os.Mkdir("/tmp/y", 0o700))
	try("remove", os.Remove("/tmp"))
	_, err = os.ReadDir("/")
	try("list", err)
	_, err = os.Stdin.Read(make([]byte, 1))
	try("stdin", err)
	_, err = net.Dial("tcp", "127.0.0.1:80")
	try("dial", err)
	if len(os.Args) > 0 {
		reached = append(reached, "args")
	}
	if len(os.Environ()) > 0 {
		reached = append(reached, "environ")
	}
	return reached, nil
}

func plainError(*flow.Context) (any, error) { return nil, errors.New("it did not work") }

func typedError(*flow.Context) (any, error) {
	return nil, fmt.Errorf("pay: %w", flow.Errorf("insufficient-funds", "have 2, need 6"))
}

func twoWaiters(ctx *flow.Context) (any, error) {
	done := make(chan any)
	go func() {
		defer func() { done <- recover() }()
		_ = ctx.Sleep(time.Second)
	}()
	for range 3 {
		if err := ctx.Checkpoint(); err != nil {
			return nil, err
		}
	}
	return fmt.Sprint(<-done), nil
}

// Trace is the argument of flow trace.
type Trace struct {
	Steps int `json:"steps"`
}

// trace uses everything that could differ from run to run and returns all of it.
func trace(ctx *flow.Context, in Trace) (map[string]any, error) {
	var seen []string
	note := func(format string, args ...any) { seen = append(seen, fmt.Sprintf(format, args...)) }
	kept := map[string][]byte{}
	for n := range in.Steps {
		m := map[string]int{}
		for i := range 50 {
			m[fmt.Sprint("key", i)] = i
		}
		note("map %v", slices.Collect(maps.Keys(m))[:5])
		note("now %s", ctx.Now().Format(time.RFC3339Nano))
		began := time.Now()
		time.Sleep(20 * time.Millisecond)
		note("slept %s", time.Since(began))
		note("rand %d %x", ctx.Rand().IntN(1000), ctx.RandomBytes(5))
		note("crypto/rand %s", crand.Text())
		hash := sha256.Sum256(ctx.RandomBytes(100))
		note("hash %s", hex.EncodeToString(hash[:4]))
		results := make(chan int)
		for g := range 5 {
			go func() { results <- g }()
		}
		order := ""
		for range 5 {
			order += fmt.Sprint(<-results)
		}
		note("order %s", order)
		note("float %x", math.Float64bits(math.Sqrt(-1)*float64(n)))
		select {
		case <-time.After(time.Millisecond):
			note("timer")
		case <-time.After(time.Microsecond):
			note("other timer")
		}
		var err error
		kept[fmt.Sprint(n)] = make([]byte, 10_000)
		if n%2 == 0 {
			err = ctx.Sleep(time.Duration(ctx.Rand().IntN(1000)+1) * time.Millisecond)
		} else {
			err = flow.All(ctx, flow.Timer(time.Second), flow.Timer(time.Duration(n+1)*time.Minute))
		}
		if err != nil {
			note("error %s", err)
		}
	}
	return map[string]any{"seen": seen}, nil
}

// Spin is the argument of flow spin.
type Spin struct {
	Rounds int    `json:"rounds"`
	Kind   string `json:"kind"`
}

// spin works for a while, to see what an instruction takes.
func spin(_ *flow.Context, in Spin) (uint64, error) {
	switch in.Kind {
	case "arithmetic":
		x := uint64(1)
		for range in.Rounds {
			x = x*6364136223846793005 + 1442695040888963407
		}
		return x, nil
	case "calls":
		x := 0
		for range in.Rounds {
			x += fib(15)
		}
		return uint64(x), nil
	case "memory":
		b := make([]uint64, 1<<19)
		i := uint64(0)
		for range in.Rounds {
			i = (i*2862933555777941757 + 3037000493) & (1<<19 - 1)
			b[i]++
		}
		return b[0], nil
	case "division":
		x := uint64(math.MaxUint64)
		for n := range in.Rounds {
			x = x/uint64(n|3) + math.MaxUint64/3
		}
		return x, nil
	case "strings":
		n := 0
		for i := range in.Rounds {
			n += len(fmt.Sprintf("%d-%s-%v", i, "abc", i%2 == 0))
		}
		return uint64(n), nil
	}
	return 0, fmt.Errorf("kind %q is not known", in.Kind)
}

//go:noinline
func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

var left []byte

// secret leaves something in the memory and tells whether something was there.
func secret(ctx *flow.Context, _ struct{}) (bool, error) {
	found := len(left) > 0
	left = []byte("a secret of flow " + ctx.FlowID().String())
	return found, ctx.Checkpoint()
}
