package verification

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	mods "github.com/fairleadio/fairlead/internal/modules"
	"github.com/fairleadio/fairlead/internal/sandbox"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// run has the contracts of a transaction look at it, side by side, and collects all that they have against it.
func (w *Worker) run(ctx context.Context, need RunContracts) Outcome {
	tx := need.Resolved.Transaction()
	named := tx.Content().Metadata.Packages
	have, missing := w.packages.find(named)
	if len(missing) > 0 {
		return Outcome{Missing: missing}
	}
	var out Outcome
	for _, n := range named {
		if p := have[n.Checksum].problem(n); p != "" {
			out.Failures = append(out.Failures, &appv1.VerificationFailure{Component: "metadata", Message: p})
		}
	}
	if len(out.Failures) > 0 {
		return out
	}
	if out.Failures, out.Missing = versions(need.Resolved, have, w.packages.file); len(out.Failures)+len(out.Missing) > 0 {
		return out
	}
	if out.Untrusted = strange(need, have); out.Untrusted != "" {
		return out
	}
	verdicts := make([][]*appv1.VerificationFailure, len(need.Contracts))
	laters := make([]error, len(need.Contracts))
	var running sync.WaitGroup
	for i, name := range need.Contracts {
		if !w.take(ctx) {
			laters[i] = errPollOver
			continue
		}
		running.Go(func() {
			defer func() { <-w.slots }()
			verdicts[i], laters[i] = w.judge(ctx, need.Resolved, name, have, named)
		})
	}
	running.Wait()
	for i := range need.Contracts {
		if laters[i] != nil {
			return Outcome{Later: laters[i]}
		}
		out.Failures = append(out.Failures, verdicts[i]...)
	}
	return out
}

// errPollOver tells that the poll's time was over before a contract could be run.
var errPollOver = errors.New("the time of the poll was over before the contracts were run")

// take waits for a slot.
func (w *Worker) take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case w.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// judge has one contract look at the transaction.
func (w *Worker) judge(ctx context.Context, r *ledger.Resolved, name string, have map[ledger.Hash]code, named []ledger.Package) (_ []*appv1.VerificationFailure, again error) {
	defer func() {
		if p := recover(); p != nil { // the host's own fault, in a goroutine that would end the process
			again = fmt.Errorf("running contract %s: panic: %v", name, p)
		}
	}()
	against := func(format string, args ...any) []*appv1.VerificationFailure {
		return []*appv1.VerificationFailure{{Contract: name, Message: fmt.Sprintf(format, args...)}}
	}
	var in []string
	var sha [32]byte
	for _, n := range named {
		if s, ok := have[n.Checksum].modules[name]; ok {
			in, sha = append(in, n.Name), s
		}
	}
	switch len(in) {
	case 0:
		return against("none of the packages that the transaction names has this contract"), nil
	case 1:
	default:
		return against("packages %s all have this contract; a transaction names one that has", strings.Join(in, ", ")), nil
	}
	request, err := verifyRequest(r, name)
	if err != nil {
		return nil, fmt.Errorf("encode the request to contract %s: %w", name, err)
	}
	began := time.Now()
	v, used, err := w.judgeIn(ctx, sha, r.Transaction().ID(), request, name)
	switch {
	case mods.IsFault(err):
		kind := sandbox.KindOf(err)
		w.deps.Metrics.contract(string(kind), time.Since(began), used)
		return against("%s", faultOf(kind, err)), nil
	case err != nil:
		return nil, err
	case v.GetRejected() != nil:
		w.deps.Metrics.contract("rejected", time.Since(began), used)
		var out []*appv1.VerificationFailure
		for _, x := range v.GetRejected().GetRejections() {
			out = append(out, &appv1.VerificationFailure{Contract: name, Component: x.GetComponent(), Message: x.GetMessage()})
		}
		return out, nil
	case v.GetAccepted() == nil:
		w.deps.Metrics.contract(string(sandbox.BadYield), time.Since(began), used)
		return against("its module answers with a list of contracts: build it with an SDK of this version"), nil
	default:
		w.deps.Metrics.contract("accepted", time.Since(began), used)
		return nil, nil
	}
}

// judgeIn runs the contract in its module. One that is uninstalled in the meantime is installed again.
func (w *Worker) judgeIn(ctx context.Context, sha [32]byte, id ledger.Hash, request []byte, name string) (v *appv1.Verdict, used int64, err error) {
	module, err := w.modules.get(ctx, sha)
	if err != nil {
		return nil, 0, err
	}
	log := func(line string) {
		w.deps.Log.Debug("contract: "+line, "contract", name, "transaction", id.String())
	}
	v, used, err = module.Judge(ctx, id, request, log)
	if errors.Is(err, sandbox.ErrUninstalled) {
		err = later("module %x was uninstalled", sha[:6])
	}
	return v, used, err
}

// verifyRequest is what a contract gets.
func verifyRequest(r *ledger.Resolved, name string) ([]byte, error) {
	states := func(from []ledger.StateAndRef) (out []*appv1.ResolvedState) {
		for _, s := range from {
			info, content := s.State.Components()
			out = append(out, &appv1.ResolvedState{Info: info, Content: content})
		}
		return out
	}
	return proto.MarshalOptions{Deterministic: true}.Marshal(&appv1.VerifyRequest{
		Contract: name, Transaction: r.Transaction().Encode(), Inputs: states(r.Inputs()), References: states(r.References()),
	})
}

// faultOf says what a module's fault means for a transaction, in the same words everywhere.
func faultOf(kind sandbox.ErrorKind, err error) string {
	var e *sandbox.Error
	detail := ""
	if errors.As(err, &e) {
		detail = e.Detail
	}
	switch kind {
	case sandbox.OutOfInstructions:
		return "the contract did not end within its instructions: look for a loop, or let it do less"
	case sandbox.OutOfMemory, sandbox.OutOfStack:
		return "the contract needs more memory than it may have: let it keep less at once"
	case sandbox.ArgumentTooLarge:
		return "the transaction with its states is larger than a contract takes: consume less at once"
	case sandbox.ResultTooLarge:
		return "the contract's verdict is too large: let it say less"
	case sandbox.Rejected:
		return "the package's module cannot be run: " + detail
	case sandbox.BadYield:
		return "the contract's module does not keep to the guest interface: " + detail
	default:
		return "the contract's program crashed: " + detail
	}
}
