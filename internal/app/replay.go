package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fairleadio/fairlead/internal/appbuild"
	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/sandbox"
	"github.com/fairleadio/fairlead/processors/flow"
	"github.com/fairleadio/fairlead/processors/flow/journal"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

// Replay says which flow is replayed against which code.
type Replay struct {
	// Admin reads the journal.
	Admin  *kafkaadmin.Admin
	FlowID string
	// Since is when the flow was created.
	Since time.Time
	// App is the folder of the application.
	App string
	// Until is the last step; 0 for all that are recorded.
	Until uint32
}

// ReplayStep is what a replay found out about one step.
type ReplayStep struct {
	Step     uint32 `json:"step"`
	Recorded string `json:"recorded"`
	// Difference says what the code did instead; empty when it did the same.
	Difference string `json:"difference,omitempty"`
}

// ReplayFlow builds an application and feeds a flow's journal to it. Nothing is changed anywhere.
func ReplayFlow(ctx context.Context, r Replay) (steps []ReplayStep, err error) {
	rows, err := journalReader{r.Admin}.Rows(ctx, r.FlowID, r.Since)
	if err != nil {
		return nil, err
	}
	keyed := map[journal.Key]*flowv1.JournalRow{}
	for _, row := range rows {
		k, err := journal.ParseKey(row.Key)
		if err != nil {
			return nil, fmt.Errorf("reading the journal of flow %s: %w", r.FlowID, err)
		}
		keyed[k] = row.Value
	}
	j := journal.NewJournal(keyed)
	line := j.Line()
	first := j.Step(line, 0)
	if len(first) != 1 || first[0].GetStart() == nil {
		return nil, fmt.Errorf("the journal of flow %s has no start: it is no longer kept, or the flow has not begun", r.FlowID)
	}
	runtime, err := sandbox.New(ctx, sandbox.Config{IdleInstances: -1})
	if err != nil {
		return nil, fmt.Errorf("starting the sandbox: %w", err)
	}
	defer func() { err = errors.Join(err, runtime.Close(context.WithoutCancel(ctx))) }()
	wasm, _, err := appbuild.Builder{Runtime: runtime}.Build(ctx, r.App)
	if err != nil {
		return nil, err
	}
	module, err := runtime.Install(ctx, wasm)
	if err != nil {
		return nil, fmt.Errorf("installing %s: %w", r.App, err)
	}
	var seed [32]byte
	copy(seed[:], first[0].GetStart().GetSeed())
	instance, err := module.NewInstance(ctx, sandbox.Env{Seed: seed, Log: func(string) {}})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", r.App, err)
	}
	defer instance.Release(ctx)
	until := j.Last(line)
	if r.Until > 0 {
		until = min(until, r.Until)
	}
	err = journal.Replayer{
		Rows:       func(step uint32) ([]*flowv1.JournalRow, error) { return j.Step(line, step), nil },
		GuestFault: flow.IsGuestFault,
		Report: func(v journal.Verdict) {
			s := ReplayStep{Step: v.Step, Recorded: v.Recorded}
			if v.Err != nil {
				s.Difference = v.Err.Error()
			}
			steps = append(steps, s)
		},
	}.To(ctx, instance, until)
	var mismatch *journal.MismatchError
	if err != nil && !errors.As(err, &mismatch) {
		return steps, fmt.Errorf("replaying flow %s: %w", r.FlowID, err)
	}
	return steps, nil
}
