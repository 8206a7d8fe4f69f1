package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// resume is what it costs to go on with a flow that has made so many steps.
type resume struct {
	Steps int `json:"steps"`
	// LiveMicros is one resume of the instance in memory, ReplayMicros an instance that is brought there from the journal.
	LiveMicros   float64 `json:"liveMicros"`
	ReplayMicros float64 `json:"replayMicros"`
}

// repeats is how often each figure is taken; the least counts, for it is the one least disturbed.
const repeats = 7

func (b bench) resumes(ctx context.Context) (out []resume, err error) {
	wasm, err := appbuild.Builder{}.Compile(ctx, filepath.Join(b.root, "apps", "hello"))
	if err != nil {
		return nil, err
	}
	r, err := sandbox.New(ctx, sandbox.Config{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close(context.WithoutCancel(ctx))) }()
	module, err := r.Install(ctx, wasm)
	if err != nil {
		return nil, err
	}
	for _, steps := range []int{10, 100, 1000} {
		c := resume{Steps: steps}
		for range repeats {
			live, replay, err := one(ctx, module, steps)
			if err != nil {
				return nil, fmt.Errorf("%d steps: %w", steps, err)
			}
			c.LiveMicros, c.ReplayMicros = least(c.LiveMicros, live), least(c.ReplayMicros, replay)
		}
		out = append(out, c)
		fmt.Printf("resume after %4d steps: live %7.1f µs, by replay %9.1f µs (%.0f times)\n", steps, c.LiveMicros, c.ReplayMicros, c.ReplayMicros/c.LiveMicros)
	}
	return out, nil
}

func least(old float64, d time.Duration) float64 {
	us := float64(d.Nanoseconds()) / 1e3
	if old == 0 {
		return us
	}
	return min(old, us)
}

// clock is the flows' clock in microseconds; its value does not matter.
const clock = 1_700_000_000_000_000

// one runs a flow of checkpoints, writes its journal, and replays it into another instance.
func one(ctx context.Context, module *sandbox.Module, steps int) (live, replay time.Duration, err error) {
	env := sandbox.Env{Seed: [32]byte{1}, Log: func(string) {}}
	start, err := proto.Marshal(&appv1.Start{FlowClass: "steps", Input: []byte(fmt.Sprintf(`{"n":%d}`, steps+1)), FlowId: make([]byte, 16)})
	if err != nil {
		return 0, 0, err
	}
	inst, err := module.NewInstance(ctx, env)
	if err != nil {
		return 0, 0, err
	}
	defer inst.Release(ctx)
	now := int64(clock)
	rows := [][]*flowv1.JournalRow{{{Row: &flowv1.JournalRow_Start{Start: &flowv1.JournalStart{Seed: env.Seed[:], Start: start, NowUs: now}}}}}
	raw, err := inst.Start(ctx, now, start)
	if err != nil {
		return 0, 0, err
	}
	answer, err := proto.Marshal(&appv1.Answer{Outcome: &appv1.Answer_Result{Result: []byte{}}})
	if err != nil {
		return 0, 0, err
	}
	for range steps {
		y, err := journal.ParseYield(raw)
		if err != nil {
			return 0, 0, err
		}
		if len(y.Asked) != 1 {
			return 0, 0, fmt.Errorf("the flow asked for %d things", len(y.Asked))
		}
		row := y.Asked[0].Row("r", now)
		now += 1000
		row.Answer, row.AnsweredAtUs, row.ResumedAtUs = answer, now, now
		rows = append(rows, []*flowv1.JournalRow{{Row: &flowv1.JournalRow_Request{Request: row}}})
		encoded, err := journal.Answers([]*flowv1.JournalRequest{row})
		if err != nil {
			return 0, 0, err
		}
		began := time.Now()
		raw, err = inst.Resume(ctx, now, encoded)
		live = time.Since(began)
		if err != nil {
			return 0, 0, err
		}
	}
	y, err := journal.ParseYield(raw)
	if err != nil {
		return 0, 0, err
	}
	rows = append(rows, []*flowv1.JournalRow{{Row: &flowv1.JournalRow_Request{Request: y.Asked[0].Row("r", now)}}})
	began := time.Now()
	fresh, err := module.NewInstance(ctx, env)
	if err != nil {
		return 0, 0, err
	}
	defer fresh.Release(ctx)
	err = journal.Replayer{
		Rows: func(step uint32) ([]*flowv1.JournalRow, error) { return rows[step], nil }, GuestFault: flow.IsGuestFault,
	}.To(ctx, fresh, uint32(steps)+1)
	return live, time.Since(began), err
}
