package sandbox

import "time"

// Limits bound what a guest may use. For flows they belong to fairlead_abi, for contracts to the transaction's
// ledger version: everything that runs the same module must use the same limits, or replays would differ.
type Limits struct {
	// MemoryPages is the largest linear memory, pages of 64 KiB.
	MemoryPages uint32
	// Instructions is the budget of each call of start, resume or verify, in units of the meter.
	Instructions int64
	// MaxArgument and MaxResult bound one message to and from the guest, bytes. They are above the 512 KiB that the
	// flow worker allows for each operation: a step may hold several, and each has a frame.
	MaxArgument, MaxResult int
}

// DefaultLimits are the limits of fairlead_abi 1: 64 MiB, about 100 ms of work on one core, 4 MiB of answers to a step,
// 1 MiB less a page asked by it.
func DefaultLimits() Limits {
	return Limits{MemoryPages: 1024, Instructions: 200_000_000, MaxArgument: 4 << 20, MaxResult: 1<<20 - 64<<10}
}

const (
	// initFactor is how many times the budget and the time of a call _initialize has.
	initFactor = 20
	// slice is how many instructions a guest gets before the host looks at the clock and the context again.
	slice = 10_000_000
	// defaultWallClock is the second net: a call may take this long before it is stopped without regard to its
	// budget.
	defaultWallClock = 10 * time.Second
	// hostCallCost is what a call of a host function costs besides the size of its data, units of the meter.
	hostCallCost = 256

	maxLogLine  = 4 << 10  // bytes of one log line; the rest is cut off
	maxLogStep  = 64 << 10 // bytes of log in one call; the rest is dropped
	maxLastWord = 16 << 10 // bytes of standard error kept to explain a crash

	// imageClock is the time in the base image, nanoseconds UTC: 2020-01-01.
	imageClock = 1_577_836_800_000_000_000
	// clockEnd is where the guest's clock stops, nanoseconds UTC: the largest time that fits.
	clockEnd = 1<<63 - 1
)
