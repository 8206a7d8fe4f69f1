package flow

import (
	"fmt"
	"runtime"
	"time"

	"github.com/fairleadio/fairlead/internal/sandbox"
)

// Config holds the settings of the group. Zero values take the defaults. They apply to the next event of every flow,
// but for those that [Rules] names as part of a flow's behaviour, which must not change while flows run.
type Config struct {
	// MaxSteps bounds a flow's journal, steps. Default 10,000.
	MaxSteps int
	// MaxStepsPerEvent is after how many steps a flow that never has to wait lets the others of its partition go
	// first; MaxRequestsPerStep requests have the same effect. Default 100.
	MaxStepsPerEvent int
	// MaxUnitsPerEvent is after how many instructions, in units of the meter, the same happens: with the last step, which
	// has as many for itself, an event takes at most twice as many. Default 200,000,000, some 100 ms.
	MaxUnitsPerEvent int64
	// MaxRequestsPerStep bounds what a flow asks for at once. Default 1,000.
	MaxRequestsPerStep int
	// MaxArgument and MaxResult bound the arguments of an operation, the flow's own argument and its result, bytes.
	// Default 512 KiB.
	MaxArgument, MaxResult int
	// MaxAnswers bounds the answers to one step, bytes: together they are the module's argument. Default 3.75 MiB.
	MaxAnswers int
	// MaxSleep bounds a sleep. Default ten years.
	MaxSleep time.Duration
	// MaxSessions bounds the sessions that a flow has open at once. Default 250.
	MaxSessions int
	// MaxUnread bounds the messages of one session that arrived and were not read; over it the session fails.
	// Default 2,000.
	MaxUnread int
	// MaxUnreadBytes bounds them in bytes, in the same way. Default 64 MiB.
	MaxUnreadBytes int
	// SessionTimeout is how long a session may be silent, unless its initiator says otherwise. Default 30 min.
	SessionTimeout time.Duration
	// RequestTimeout is the deadline of requests to other workers. Default 1 min.
	RequestTimeout time.Duration
	// Keep is how long journal and head outlive the flow. Default seven days.
	Keep time.Duration
	// ViewWait is how long an event waits for its virtual node or package to become visible here. Default 1 min.
	ViewWait time.Duration
	// InstallWait is how long an event waits for a module that is being compiled before it lets the others of its
	// partition go first. Default 500 ms.
	InstallWait time.Duration
	// LiveCount and LiveBytes bound the instances that stay in memory while their flows wait. Bytes are those of
	// linear memory. On Linux instances share what they did not change, and a waiting flow costs some half MiB of
	// its 10; elsewhere it costs all. Defaults 10,000, and 4 GiB on Linux, 256 MiB elsewhere.
	LiveCount int
	LiveBytes int64
	// PlatformVersion is what signatures and new transactions say of the platform. Default 50200.
	PlatformVersion int
}

// Validate tells which setting is wrong and what it may be.
func (c Config) Validate() error {
	for _, v := range []struct {
		name  string
		value int64
	}{
		{"MaxSteps", int64(c.MaxSteps)}, {"MaxStepsPerEvent", int64(c.MaxStepsPerEvent)},
		{"MaxRequestsPerStep", int64(c.MaxRequestsPerStep)}, {"MaxArgument", int64(c.MaxArgument)},
		{"MaxResult", int64(c.MaxResult)}, {"MaxSessions", int64(c.MaxSessions)}, {"MaxUnread", int64(c.MaxUnread)},
		{"MaxUnitsPerEvent", c.MaxUnitsPerEvent}, {"MaxUnreadBytes", int64(c.MaxUnreadBytes)}, {"MaxAnswers", int64(c.MaxAnswers)},
		{"SessionTimeout", int64(c.SessionTimeout)}, {"RequestTimeout", int64(c.RequestTimeout)}, {"MaxSleep", int64(c.MaxSleep)}, {"Keep", int64(c.Keep)},
		{"ViewWait", int64(c.ViewWait)}, {"InstallWait", int64(c.InstallWait)}, {"LiveCount", int64(c.LiveCount)},
		{"LiveBytes", c.LiveBytes}, {"PlatformVersion", int64(c.PlatformVersion)},
	} {
		if v.value < 0 {
			return fmt.Errorf("flow: %s is %d; give a positive value, or 0 for the default", v.name, v.value)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	orInt := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	orTime := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	orInt(&c.MaxSteps, 10_000)
	orInt(&c.MaxStepsPerEvent, 100)
	orInt(&c.MaxRequestsPerStep, 1_000)
	orInt(&c.MaxArgument, 512<<10)
	orInt(&c.MaxResult, 512<<10)
	orInt(&c.MaxAnswers, sandbox.DefaultLimits().MaxArgument-answersReserve)
	orInt(&c.MaxUnreadBytes, 64<<20)
	orInt(&c.LiveCount, 10_000)
	orInt(&c.MaxSessions, 250)
	orInt(&c.MaxUnread, 2_000)
	orInt(&c.PlatformVersion, 50200)
	orTime(&c.SessionTimeout, 30*time.Minute)
	orTime(&c.RequestTimeout, time.Minute)
	orTime(&c.MaxSleep, 10*365*24*time.Hour)
	orTime(&c.Keep, 7*24*time.Hour)
	orTime(&c.ViewWait, time.Minute)
	orTime(&c.InstallWait, 500*time.Millisecond)
	if c.MaxUnitsPerEvent == 0 {
		c.MaxUnitsPerEvent = sandbox.DefaultLimits().Instructions
	}
	if c.LiveBytes == 0 {
		c.LiveBytes = 256 << 20
		if runtime.GOOS == "linux" {
			c.LiveBytes = 4 << 30
		}
	}
	return c
}

// answersReserve is room for the answers that say only that there is no room, bytes.
const answersReserve = 256 << 10

// Rules are the settings that decide. The limits on steps, requests, sizes and sleeps are seen by a flow's code, as
// errors.
type Rules struct {
	MaxSteps, MaxStepsPerEvent, MaxRequestsPerStep uint32
	MaxArgument, MaxResult, MaxSessions, MaxUnread int
	MaxAnswers, MaxUnreadBytes                     int
	MaxUnitsPerEvent                               int64
	// Microseconds.
	MaxSleepUs, KeepUs, SessionTimeoutUs, RequestTimeoutUs int64
}

func (c Config) rules() Rules {
	return Rules{
		MaxSteps:           uint32(c.MaxSteps),
		MaxStepsPerEvent:   uint32(c.MaxStepsPerEvent),
		MaxRequestsPerStep: uint32(c.MaxRequestsPerStep),
		MaxArgument:        c.MaxArgument,
		MaxResult:          c.MaxResult,
		MaxSessions:        c.MaxSessions,
		MaxUnread:          c.MaxUnread,
		MaxAnswers:         c.MaxAnswers,
		MaxUnitsPerEvent:   c.MaxUnitsPerEvent,
		MaxUnreadBytes:     c.MaxUnreadBytes,
		MaxSleepUs:         c.MaxSleep.Microseconds(),
		SessionTimeoutUs:   c.SessionTimeout.Microseconds(),
		RequestTimeoutUs:   c.RequestTimeout.Microseconds(),
		KeepUs:             c.Keep.Microseconds(),
	}
}
