package flow

import (
	"os"
	"time"

	"github.com/fairleadio/fairlead/sdk/internal/guest/abi"
	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

// guest tells that this is the platform's build.
const guest = true

// The flow of this instance. Its function runs in a goroutine of its own; an exported function hands it an answer,
// waits for the next thing that it asks or for its end, and returns that to the host. While the host works, no
// exported function is active and the flow's goroutine waits: the instance's memory is all there is of it.
var (
	toStart = make(chan *wire.Start)
	toFlow  = make(chan []wire.Answer)
	toHost  = make(chan wire.Yield)
	running bool
	asking  bool
)

// init starts the flow's goroutine, so that it waits in the base image with a stack that is large enough for most
// flows: growing it step by step takes longer than a small flow itself.
func init() {
	ready := make(chan struct{})
	go func() {
		growStack()
		close(ready)
		toHost <- registry.Run(platform{}, <-toStart)
	}()
	<-ready
	growStack() // of the goroutine that runs the exported functions
}

// growStack makes the calling goroutine's stack 64 KiB large.
//
//go:noinline
func growStack() byte {
	var frame [33 << 10]byte
	return frame[len(registry.Names())]
}

// start begins the flow. The empty flow class asks for the list of flows instead.
//
//go:wasmexport fairlead_start
func start(ptr, n uint32) uint64 {
	var s wire.Start
	if err := wire.Decode(abi.Take(ptr, n), &s); err != nil {
		return give(registry.Failed("protocol", "fairlead_start: "+err.Error()))
	}
	if s.FlowClass == "" {
		return give(registry.List())
	}
	if running {
		return give(registry.Failed("protocol", "fairlead_start: a flow runs in this instance already"))
	}
	running = true
	toStart <- &s
	return give(<-toHost)
}

// resume hands the flow the answers to what it asked.
//
//go:wasmexport fairlead_resume
func resume(ptr, n uint32) uint64 {
	var r wire.Resume
	if err := wire.Decode(abi.Take(ptr, n), &r); err != nil {
		return give(registry.Failed("protocol", "fairlead_resume: "+err.Error()))
	}
	if !asking {
		return give(registry.Failed("protocol", "fairlead_resume: the flow does not wait for anything"))
	}
	toFlow <- r.Answers
	return give(<-toHost)
}

func give(y wire.Yield) uint64 { return abi.Give(wire.Encode(&y)) }

// platform is the flow's host when it runs as a guest.
type platform struct{}

func (platform) Exchange(requests []wire.Request) []wire.Answer {
	if asking {
		panic("flow: another goroutine of this flow waits for the platform already; use flow.All to wait for several things")
	}
	asking = true
	toHost <- wire.Yield{Requests: &wire.Requests{Requests: requests}}
	answers := <-toFlow
	asking = false
	return answers
}

func (platform) Now() time.Time { return time.Now().UTC().Round(0) }

func (platform) Random(b []byte) { abi.Random(b) }

func (platform) Log(line string) { _, _ = os.Stdout.WriteString(line + "\n") }
