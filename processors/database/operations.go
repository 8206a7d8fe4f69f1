package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// errBusy tells that another process works on the same operation, or the same virtual node, at this moment.
var errBusy = errors.New("another process takes this step, or another operation works on the virtual node")

// errStale tells that the operation went on meanwhile.
var errStale = errors.New("the operation went on meanwhile")

// onPart keeps a part of an upload.
func (w *Worker) onPart(ctx engine.Context, m *dbv1.CpiPart) error {
	if err := w.gate.closed(); err != nil {
		return engine.Retry(w.cfg.JobPoll, err)
	}
	e := PartCame{Key: ctx.Key(), Part: m, NowUs: ctx.Now().UnixMicro()}
	var records []emission
	err := w.inTx(ctx.Context(), func(ctx context.Context, tx *postgres.Tx) error {
		l := &loader{ctx: ctx, q: tx}
		l.operation(e.Key)
		l.try(func() (err error) {
			l.s.Parts, err = clusterdb.UploadParts(ctx, tx, e.Key, m.GetPart())
			return err
		})
		if l.err != nil {
			return l.err
		}
		o, err := Step(l.s, e)
		if err == nil {
			err = w.apply(ctx, tx, o, e.NowUs)
		}
		if err == nil {
			records, err = render(ctx, tx, o.Out)
		}
		return err
	})
	if err != nil {
		return w.later(err)
	}
	if err := w.between("part"); err != nil {
		return err
	}
	emit(ctx, records)
	return nil
}

// onPackage answers what a flow asks of packages of code.
func (w *Worker) onPackage(ctx engine.Context, m *dbv1.PackageRequest) error {
	to, err := replyAddress(ctx)
	if err != nil {
		return err
	}
	if expired(ctx) {
		w.cfg.Metrics.request("package", "expired")
		return nil
	}
	if err := w.gate.closed(); err != nil {
		return engine.Retry(w.cfg.JobPoll, err)
	}
	e := PackageAsked{Key: ctx.Key(), ID: ctx.Header(engine.HeaderRequest), Reply: to, Request: m, NowUs: ctx.Now().UnixMicro()}
	var o Outcome
	var records []emission
	err = w.inTx(ctx.Context(), func(ctx context.Context, tx *postgres.Tx) error {
		s, err := loadPackage(ctx, tx, e)
		if err != nil {
			return err
		}
		s.Limits = w.cfg.Code
		if o, err = Step(s, e); err == nil {
			err = w.apply(ctx, tx, o, e.NowUs)
		}
		if err == nil {
			records, err = render(ctx, tx, o.Out)
		}
		return err
	})
	if err != nil {
		return w.later(err)
	}
	outcome := "done"
	if o.Reply.GetError() != nil {
		outcome = "refused"
		w.deps.Log.Info("a package was not given to a flow, or not taken from one", "virtual node", m.GetVnode(), "flow", m.GetFlowId(), "reason", o.Reply.GetError().GetMessage())
	}
	w.cfg.Metrics.request("package", outcome)
	if err := w.between("package"); err != nil {
		return err
	}
	if o.Reply != nil && to != "" {
		send(ctx, to, e.ID, o.Reply)
	}
	emit(ctx, records)
	return nil
}

// onContinue takes the next step of an operation, or looks whether the running one has ended.
func (w *Worker) onContinue(ctx engine.Context, m *dbv1.Continue) error {
	if err := w.gate.closed(); err != nil {
		return engine.Retry(w.cfg.JobPoll, err)
	}
	id := m.GetOperation()
	op, lost, err := w.present(ctx.Context(), id, m.GetVersion())
	if err != nil {
		return w.later(err)
	}
	if lost != nil {
		return w.tellAgain(ctx, op, lost)
	}
	if op == nil || op.Final() || op.Status.GetVersion() != m.GetVersion() {
		return nil
	}
	name := fmt.Sprintf("%s/%d", id, op.Status.GetVersion())
	result, done := w.jobs.do(ctx.Context(), name, w.cfg.JobWait, func(ctx context.Context) Result { return w.job(ctx, op) })
	if !done {
		ctx.SetTimer("look/"+id, ctx.Now().Add(w.cfg.JobPoll), m)
		return nil
	}
	w.jobs.taken(name)
	if err := again(result.Err); err != nil {
		switch {
		case errors.Is(err, errStale):
			return nil
		case errors.Is(err, errBusy): // for as long as a migration takes: other records of the partition need not wait
			ctx.SetTimer("look/"+id, ctx.Now().Add(w.cfg.JobPoll), m)
			return nil
		}
		return w.later(err)
	}
	w.cfg.Metrics.step(result.Step, result.Err)
	if result.Err != nil {
		w.deps.Log.Warn("an operation failed", "operation", id, "step", result.Step, "error", result.Err)
	}
	if err := w.between("step " + result.Step); err != nil { // its effect is there, and nobody knows
		return err
	}
	o, records, err := w.ended(ctx.Context(), id, op.Status.GetVersion(), StepDone{Result: result, NowUs: ctx.Now().UnixMicro()})
	if err != nil {
		return w.later(err)
	}
	if err := w.between("after " + result.Step); err != nil {
		return err
	}
	if o.ReplyTo != "" && o.Reply != nil {
		send(ctx, o.ReplyTo, o.RequestID, o.Reply)
	}
	emit(ctx, records)
	return nil
}

// again returns an error that does not end an operation: what is away comes back.
func again(err error) error {
	var m *postgres.MigrationError
	switch class := postgres.ClassOf(err); {
	case err == nil:
		return nil
	case errors.Is(err, errBusy), errors.Is(err, errStale), errors.Is(err, context.Canceled):
		return err
	case class == postgres.Unavailable:
		return err
	case class == postgres.Retry && !errors.As(err, &m):
		return err
	default:
		return nil
	}
}

// present returns an operation, and what it told last when the record is older than that.
func (w *Worker) present(ctx context.Context, id string, version uint64) (op *clusterdb.Operation, lost []emission, err error) {
	err = w.inTx(ctx, func(ctx context.Context, tx *postgres.Tx) (err error) {
		lost = nil
		if op, err = clusterdb.GetOperation(ctx, tx, id); err != nil || op == nil || version >= op.Status.GetVersion() {
			return err
		}
		lost, err = render(ctx, tx, op.Last.Out)
		if lost == nil {
			lost = []emission{}
		}
		return err
	})
	return op, lost, err
}

// tellAgain writes what an operation's last change told, after a crash between the two commits.
func (w *Worker) tellAgain(ctx engine.Context, op *clusterdb.Operation, lost []emission) error {
	if len(op.Last.Reply) > 0 {
		reply := &rpcv1.Reply{}
		if err := proto.Unmarshal(op.Last.Reply, reply); err != nil {
			return fmt.Errorf("read the answer of operation %s: %w", op.Status.GetRequestId(), err)
		}
		send(ctx, op.Last.To, op.Last.Request, reply)
	}
	emit(ctx, lost)
	return nil
}

// ended writes what follows the end of a step, unless the operation was asked for again meanwhile: then the step was another attempt's.
func (w *Worker) ended(ctx context.Context, id string, version uint64, e StepDone) (o Outcome, records []emission, err error) {
	err = w.inTx(ctx, func(ctx context.Context, tx *postgres.Tx) error {
		records = nil
		s, err := loadOperation(ctx, tx, id)
		if err != nil || s.Operation == nil || s.Operation.Status.GetVersion() != version {
			o = Outcome{}
			return err
		}
		if c := e.Result.Package; c != nil {
			l := &loader{ctx: ctx, q: tx, s: s}
			l.sameName(c.GetName(), c.GetVersion(), c.GetChecksum())
			if s, err = l.s, l.err; err != nil {
				return err
			}
		}
		s.Limits = w.cfg.Code
		if o, err = Step(s, e); err != nil {
			return err
		}
		if err := w.apply(ctx, tx, o, e.NowUs); err != nil {
			return err
		}
		records, err = render(ctx, tx, o.Out)
		return err
	})
	return o, records, err
}

// job takes a step of an operation: alone of all processes, and only if it still is the present one. Of a virtual node's
// operations one at a time takes a step, so that what a forced one replaces runs no migration after it.
func (w *Worker) job(ctx context.Context, op *clusterdb.Operation) Result {
	id := op.Status.GetRequestId()
	result := Result{Step: op.Work.Step}
	turn := "operation " + id
	if op.Work.ShortHash != "" {
		turn = "operations of virtual node " + op.Work.ShortHash
	}
	held, err := w.deps.Cluster.Lead(ctx, turn, func(ctx context.Context) error {
		w.waits.Delete(id)
		now, err := clusterdb.GetOperation(ctx, w.deps.Cluster, id)
		if err != nil {
			return err
		}
		if now == nil || now.Status.GetVersion() != op.Status.GetVersion() {
			return errStale
		}
		if replaced, err := w.replaced(ctx, now); err != nil || replaced {
			return err // the step does nothing, and its end aborts the operation
		}
		result = w.take(ctx, now)
		result.Step = now.Work.Step
		return nil
	})
	if err == nil && !held {
		err = errBusy
		w.tellWait(ctx, turn, id)
	}
	if result.Err == nil {
		result.Err = err
	}
	return result
}

// tellEvery is after how long an operation that waits is told of again.
const tellEvery = time.Minute

// tellWait logs now and then whose turn an operation waits for. When that process is gone without a word, or stopped, it is all
// that an operator can see of it.
func (w *Worker) tellWait(ctx context.Context, turn, operation string) {
	if at, told := w.waits.Load(operation); told && time.Since(at.(time.Time)) < tellEvery {
		return
	}
	who, err := w.deps.Cluster.Leader(ctx, turn)
	if err != nil || who == "" { // it ended just now, or asking again tells
		return
	}
	w.waits.Store(operation, time.Now())
	w.deps.Log.Info("an operation waits for the turn of another; when that process is gone, end its session with pg_terminate_backend", "operation", operation, "turn", turn, "held_by", who)
}

// replaced tells whether another operation was forced in place of one.
func (w *Worker) replaced(ctx context.Context, op *clusterdb.Operation) (bool, error) {
	if op.Work.ShortHash == "" {
		return false, nil
	}
	v, err := clusterdb.VirtualNode(ctx, w.deps.Cluster, op.Work.ShortHash)
	return v != nil && v.GetOperationInProgress() != op.Status.GetRequestId(), err
}

// take does what a step is for.
func (w *Worker) take(ctx context.Context, op *clusterdb.Operation) Result {
	switch op.Work.Step {
	case stepVerify:
		return w.verify(ctx, op)
	case stepValidate:
		return w.validate(ctx, op)
	case stepStore:
		return w.store(ctx, op)
	case stepPublish:
		return Result{}
	case stepSchema:
		return w.makeSchema(ctx, op)
	case stepPlatform:
		return w.migratePlatform(ctx, op)
	case stepApplication:
		return w.migrateApplication(ctx, op)
	case stepReset:
		return w.reset(ctx, op)
	case stepConnections:
		return w.reconnect(ctx, op)
	case stepFinish:
		return w.finish(ctx, op)
	default:
		return Result{Err: fmt.Errorf("operation %s stands at step %q, which this version does not know", op.Status.GetRequestId(), op.Work.Step)}
	}
}
