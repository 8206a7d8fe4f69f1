// Command rogue has contracts that do what contracts must not do, in one module with a flow, for the verification worker's
// tests.
package main

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/flow"
)

func init() {
	for name, f := range map[string]func(*contract.Transaction) error{
		"accept":          func(*contract.Transaction) error { return nil },
		"refuse":          refuse,
		"loop":            loop,
		"allocate":        allocate,
		"recurse":         recurse,
		"panic":           func(tx *contract.Transaction) error { return fmt.Errorf("%s", tx.Inputs[100].Type) },
		"goroutine-panic": goroutinePanic,
		"exit":            func(*contract.Transaction) error { os.Exit(0); return nil },
		"deadlock":        func(*contract.Transaction) error { <-make(chan int); return nil },
		"sleep":           sleep,
		"differ":          differ,
		"outside":         outside,
		"silent":          func(*contract.Transaction) error { return errors.New("") },
		"many":            many,
		"huge":            func(*contract.Transaction) error { return errors.New(strings.Repeat("x", 2<<20)) },
		"long":            func(*contract.Transaction) error { return errors.New(strings.Repeat("ü", 10_000)) },
	} {
		contract.Register(name, f)
	}
	flow.Register("nothing", func(*flow.Context, struct{}) (struct{}, error) { return struct{}{}, nil })
}

func main() {}

func refuse(tx *contract.Transaction) error {
	return errors.Join(errors.New("no"), contract.Output(len(tx.Outputs)-1).Errorf("%w", errors.New("never")))
}

func loop(*contract.Transaction) error {
	for {
	}
}

func allocate(*contract.Transaction) error {
	var all [][]byte
	for {
		all = append(all, make([]byte, 1<<16))
	}
}

func deeper(n int) int {
	if n < 0 {
		return 0
	}
	return deeper(n+1) + n
}

func recurse(*contract.Transaction) error { return fmt.Errorf("%d", deeper(0)) }

func goroutinePanic(*contract.Transaction) error {
	done := make(chan int)
	go func() { panic("in a goroutine") }()
	<-done
	return nil
}

// sleep waits for what the clock of a verifier would have to bring.
func sleep(*contract.Transaction) error {
	time.Sleep(1000 * time.Hour)
	return nil
}

// runs is what a second run would find of a first.
var runs int

// differ tells all that could be different the next time, or elsewhere.
func differ(tx *contract.Transaction) error {
	runs++
	m := map[string]int{}
	for i := range 100 {
		m[fmt.Sprint(i)] = i
	}
	results := make(chan int)
	for g := range 5 {
		go func() { results <- g }()
	}
	var order []int
	for range 5 {
		order = append(order, <-results)
	}
	return fmt.Errorf("run %d at %d: map %v, goroutines %v, random %d %s, transaction %s",
		runs, time.Now().UnixNano(), slices.Collect(maps.Keys(m))[:10], order, rand.Int64(), crand.Text(), tx.ID)
}

// outside tries what reaches out of the sandbox and tells what did not fail.
func outside(*contract.Transaction) error {
	var reached []string
	try := func(what string, err error) {
		if err == nil {
			reached = append(reached, what)
		}
	}
	_, err := os.ReadFile("/etc/passwd")
	try("read", err)
	try("write", os.WriteFile("/tmp/x", nil, 0o600))
	_, err = net.Dial("tcp", "127.0.0.1:80")
	try("dial", err)
	_, err = os.Stdin.Read(make([]byte, 1))
	try("stdin", err)
	if len(os.Args)+len(os.Environ()) > 0 {
		reached = append(reached, "arguments")
	}
	return fmt.Errorf("reached %v", reached)
}

func many(*contract.Transaction) error {
	var errs []error
	for i := range 2000 {
		errs = append(errs, contract.Output(i).Errorf("wrong"))
	}
	return errors.Join(errs...)
}
