package sandbox_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/internal/sandbox/meter"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// cpuTime is what this thread has worked. Benchmarks of the guest use it because it does not depend on what else
// the machine does.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_THREAD, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkInstall(b *testing.B) {
	wasm := guest(b, hello)
	b.Run("meter", func(b *testing.B) {
		b.SetBytes(int64(len(wasm)))
		for b.Loop() {
			if _, err := meter.Instrument(wasm); err != nil {
				b.Fatal(err)
			}
		}
	})
	one := func(b *testing.B, dir string) {
		r, err := sandbox.New(b.Context(), sandbox.Config{CacheDir: dir})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Install(b.Context(), wasm); err != nil {
			b.Fatal(err)
		}
		if err := r.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("compile", func(b *testing.B) {
		for b.Loop() {
			one(b, "")
		}
	})
	b.Run("cached", func(b *testing.B) {
		one(b, cacheDir)
		for b.Loop() {
			one(b, cacheDir)
		}
	})
}

// BenchmarkInstance is what a flow pays for its instance: taken from the pool and reset, or new.
func BenchmarkInstance(b *testing.B) {
	for name, cfg := range map[string]sandbox.Config{
		"reset-mapped": {}, "new-mapped": {IdleInstances: -1},
		"reset-copied": sandbox.WithCopies(sandbox.Config{}), "new-copied": sandbox.WithCopies(sandbox.Config{IdleInstances: -1}),
	} {
		b.Run(name, func(b *testing.B) {
			m := install(b, hello, cfg)
			start := startOf(b, "hello", `{"name":"Bob"}`)
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var spent time.Duration
			for b.Loop() {
				begin := cpuTime(b)
				i, err := m.NewInstance(b.Context(), sandbox.Env{})
				if err != nil {
					b.Fatal(err)
				}
				spent += cpuTime(b) - begin
				if _, err := i.Start(b.Context(), now, start); err != nil {
					b.Fatal(err)
				}
				begin = cpuTime(b)
				i.Release(b.Context())
				spent += cpuTime(b) - begin
			}
			b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs/instance")
		})
	}
}

// BenchmarkFlow is the guest's part of whole flows of so many steps, on one core.
func BenchmarkFlow(b *testing.B) {
	resume := encode(b, &appv1.Resume{Answers: []*appv1.Answer{{Outcome: &appv1.Answer_Result{Result: []byte{}}}}})
	for _, steps := range []int{0, 10, 100, 1000} {
		b.Run(fmt.Sprint(steps), func(b *testing.B) {
			m := install(b, hello, sandbox.Config{})
			start := startOf(b, "steps", fmt.Sprintf(`{"n":%d}`, steps))
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			begin := cpuTime(b)
			for b.Loop() {
				i, err := m.NewInstance(b.Context(), sandbox.Env{})
				if err != nil {
					b.Fatal(err)
				}
				if _, err := i.Start(b.Context(), now, start); err != nil {
					b.Fatal(err)
				}
				for range steps {
					if _, err := i.Resume(b.Context(), now, resume); err != nil {
						b.Fatal(err)
					}
				}
				i.Release(b.Context())
			}
			spent := float64((cpuTime(b) - begin).Microseconds()) / float64(b.N)
			b.ReportMetric(spent, "cpu-µs/flow")
			b.ReportMetric(spent/float64(steps+1), "cpu-µs/step")
		})
	}
}

// BenchmarkParked is what a waiting flow takes: resident memory for each of a thousand.
func BenchmarkParked(b *testing.B) {
	for name, cfg := range map[string]sandbox.Config{"mapped": {}, "copied": sandbox.WithCopies(sandbox.Config{})} {
		b.Run(name, func(b *testing.B) {
			m := install(b, hello, cfg)
			start := startOf(b, "countdown", `{"n":3}`)
			const flows = 200
			for b.Loop() {
				runtime.GC()
				before := resident(b)
				var parked []*sandbox.Instance
				for range flows {
					i, err := m.NewInstance(b.Context(), sandbox.Env{})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := i.Start(b.Context(), now, start); err != nil {
						b.Fatal(err)
					}
					parked = append(parked, i)
				}
				runtime.GC()
				b.ReportMetric(float64(resident(b)-before)/flows/1024, "KiB/flow")
				for _, i := range parked {
					i.Release(context.WithoutCancel(b.Context()))
				}
			}
		})
	}
}

// BenchmarkMeter runs the same work metered and not, and says how many units of the meter a core does in a
// millisecond: the budget of a step is so many of them.
func BenchmarkMeter(b *testing.B) {
	r := newRuntime(b, sandbox.Config{Limits: sandbox.Limits{Instructions: 1 << 60}})
	m, err := r.Install(b.Context(), guest(b, rogue))
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		kind   string
		rounds int
	}{{"arithmetic", 3_000_000}, {"division", 3_000_000}, {"memory", 2_000_000}, {"calls", 1000}, {"strings", 10_000}} {
		start := startOf(b, "spin", fmt.Sprintf(`{"kind":%q,"rounds":%d}`, c.kind, c.rounds))
		b.Run(c.kind, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			plain, err := sandbox.Unmetered(b.Context(), r, guest(b, rogue))
			if err != nil {
				b.Fatal(err)
			}
			defer sandbox.CloseInstance(b.Context(), plain)
			var with, without time.Duration
			var units int64
			for b.Loop() {
				i, err := m.NewInstance(b.Context(), sandbox.Env{})
				if err != nil {
					b.Fatal(err)
				}
				begin := cpuTime(b)
				if _, err := i.Start(b.Context(), now, start); err != nil {
					b.Fatal(err)
				}
				with += cpuTime(b) - begin
				units += i.Instructions()
				i.Release(b.Context())
				begin = cpuTime(b)
				if err := sandbox.StartUnmetered(b.Context(), plain, start); err != nil {
					b.Fatal(err)
				}
				without += cpuTime(b) - begin
			}
			b.ReportMetric(float64(with)/float64(without), "×unmetered")
			b.ReportMetric(float64(units)/float64(with.Milliseconds()+1), "units/ms")
		})
	}
}
