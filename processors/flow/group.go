package flow

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	verificationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/verification/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Graph is the goka group that the worker runs.
func (w *Worker) Graph() *engine.Graph {
	return engine.Define(topics.FlowGroup,
		engine.Input(topics.FlowEvents, schemas.Codec[*flowv1.FlowEvent](), engine.Typed(w.onEvent)),
		engine.Input(topics.FlowCommands, schemas.Codec[*flowv1.FlowCommand](), engine.Typed(w.onCommand)),
		engine.Input(topics.FlowRepliesCrypto, schemas.Codec[*rpcv1.Reply](), engine.Typed(w.onReply)),
		engine.Input(topics.FlowRepliesPackages, schemas.Codec[*rpcv1.Reply](), engine.Typed(w.onReply)),
		engine.Input(topics.FlowRepliesPersistence, schemas.Codec[*rpcv1.Reply](), engine.Typed(w.onReply)),
		engine.Input(topics.FlowRepliesTokens, schemas.Codec[*rpcv1.Reply](), engine.Typed(w.onReply)),
		engine.Input(topics.FlowRepliesUniqueness, schemas.Codec[*rpcv1.Reply](), engine.Typed(w.onReply)),
		engine.Input(topics.FlowRepliesVerification, schemas.Codec[*rpcv1.Reply](), engine.Typed(w.onReply)),
		engine.Loop(schemas.Codec[*flowv1.FlowTimer](), engine.Typed(w.onTimer)),
		goka.Persist(schemas.Codec[*flowv1.Checkpoint]()),
		engine.Store(topics.FlowJournalStore),
		engine.Store(topics.FlowInboxStore),
		goka.Output(topics.CryptoRequests, schemas.Codec[*cryptov1.Request]()),
		goka.Output(topics.PackageRequests, schemas.Codec[*dbv1.PackageRequest]()),
		goka.Output(topics.PersistenceRequests, schemas.Codec[*persistencev1.Request]()),
		goka.Output(topics.TokensRequests, schemas.Codec[*tokensv1.Request]()),
		goka.Output(topics.UniquenessRequests, schemas.Codec[*uniquenessv1.Request]()),
		goka.Output(topics.VerificationRequests, schemas.Codec[*verificationv1.Request]()),
		goka.Output(topics.FlowStatus, schemas.Codec[*flowv1.FlowStatus]()),
		goka.Output(topics.FlowMapperStart, schemas.Codec[*flowv1.MapperStart]()),
		goka.Output(topics.FlowMapperSession, schemas.Codec[*flowv1.MapperSession]()),
		engine.EmitsDynamic(string(topics.External), raw{}, mayEmit),
		goka.Output(topics.Audit, schemas.Codec[*auditv1.Entry]()),
		engine.Reads(topics.Config, schemas.Codec[*configv1.Configuration]()),
		engine.Reads(topics.CryptoKeys, schemas.Codec[*cryptov1.Key]()),
		engine.Reads(topics.VirtualNodeInfo, schemas.Codec[*vnodev1.VirtualNode]()),
		engine.Reads(topics.CpiInfo, schemas.Codec[*cpiv1.Cpi]()),
		engine.Reads(topics.CpiChunks, schemas.Codec[*cpiv1.Chunk]()),
		engine.OnDeadLetter(w.onDeadLetter),
		engine.WithHooks(engine.Hooks{OnDrop: w.onDrop, OnAbort: w.onLoss, OnAssign: w.onLoss, OnRevoke: w.onLoss}),
	)
}

func (w *Worker) onEvent(ctx engine.Context, m *flowv1.FlowEvent) error {
	id, err := identity.ParseUUID(ctx.Key())
	if err != nil {
		return engine.Poison("%s: record %q of %s: the key must be a flow's id", ErrJournal, ctx.Key(), topics.FlowEvents)
	}
	switch e := m.GetEvent().(type) {
	case *flowv1.FlowEvent_Started:
		return w.onStarted(ctx, id, e.Started)
	case *flowv1.FlowEvent_Command:
		return w.onCommand(ctx, e.Command)
	case *flowv1.FlowEvent_Session:
		return w.onSession(ctx, id, e.Session)
	default:
		return engine.Poison("%s: record %q of %s has no event; send one that this version knows", ErrJournal, ctx.Key(), topics.FlowEvents)
	}
}

func (w *Worker) onStarted(ctx engine.Context, id identity.UUID, started *flowv1.Started) error {
	if string(started.GetFlowId()) != string(id[:]) || ctx.Key() != id.String() {
		return engine.Poison("%s: record %q of %s: field flow_id must be the id in the key", ErrJournal, ctx.Key(), topics.FlowEvents)
	}
	since := started.GetStartedAtUs()
	if since == 0 {
		since = started.GetStart().GetCreatedAtUs()
	}
	t := w.newTurn(ctx, id, since)
	if t.state.Head != nil {
		return t.run(Started{Started: started, NowUs: t.nowUs})
	}
	e, err := t.startOf(started)
	if err != nil {
		return err
	}
	return t.run(e)
}

func (w *Worker) onCommand(ctx engine.Context, m *flowv1.FlowCommand) error {
	id, err := identity.ParseUUID(ctx.Key())
	if err != nil {
		id = identity.UUID{} // no flow has it, so the command is refused
	}
	t := w.newTurn(ctx, id, 0)
	e := Commanded{Command: m, ID: m.GetId(), Flow: ctx.Key(), NowUs: t.nowUs}
	if _, err := identity.ParseUUID(e.ID); err != nil { // whoever wrote it knows it by the record's place
		cause := ctx.Cause()
		e.ID = identity.CommandID(ctx.TopicID(), cause.Partition, cause.Offset).String()
	}
	if m.GetKind() == flowv1.FlowCommandKind_FLOW_COMMAND_KIND_RETRY_FROM_STEP && t.state.Head != nil {
		rows, err := t.rows(m.GetStep())
		if err != nil {
			rows = nil // the retry is refused
		}
		e.Kept = requestsOf(rows)
		if len(rows) == 1 {
			e.Start = rows[0].GetStart()
		}
	}
	return t.run(e)
}

// onReply takes another worker's answer. What nobody waits for, or what came from a worker that was not asked, is
// passed over.
func (w *Worker) onReply(ctx engine.Context, m *rpcv1.Reply) error {
	id, err := identity.ParseUUID(ctx.Key())
	if err != nil {
		return engine.Poison("%s: record %q of %s: the key must be a flow's id", ErrJournal, ctx.Key(), ctx.Topic())
	}
	t := w.replyTurn(ctx, id, ctx.Header(engine.HeaderRequest))
	return t.goOn(Replied{Topic: string(ctx.Topic()), RequestID: ctx.Header(engine.HeaderRequest), Reply: m, NowUs: t.nowUs})
}

func (w *Worker) onTimer(ctx engine.Context, m *flowv1.FlowTimer) error {
	id, err := identity.ParseUUID(ctx.Key())
	if err != nil {
		return engine.Poison("%s: timer %q: its key must be a flow's id", ErrJournal, ctx.Key())
	}
	t := w.newTurn(ctx, id, 0)
	switch e := m.GetEvent().(type) {
	case *flowv1.FlowTimer_Due_:
		for _, waits := range t.state.Head.GetWaiting() {
			if waits.GetOrdinal() == e.Due.GetOrdinal() {
				t.sinceUs = waits.GetDeadlineUs()
			}
		}
		return t.goOn(Due{e.Due.GetAttempt(), e.Due.GetStep(), e.Due.GetOrdinal(), t.nowUs})
	case *flowv1.FlowTimer_Continue_:
		t.sinceUs = t.state.Head.GetUpdatedAtUs()
		t.replayed = e.Continue.GetReplayed() > 0
		return t.goOn(Continued{e.Continue.GetAttempt(), e.Continue.GetStep(), t.nowUs})
	case *flowv1.FlowTimer_SessionDue_:
		return t.goOn(Silent{e.SessionDue.GetSessionId(), t.nowUs})
	case *flowv1.FlowTimer_Forget_:
		return t.run(Forgotten{t.nowUs})
	default:
		return engine.Poison("%s: timer %q has no event that this version knows", ErrJournal, ctx.Key())
	}
}

// onDeadLetter ends a flow that a record will never reach: whoever waits for it must hear so. A command that was
// refused changes nothing of its flow.
func (w *Worker) onDeadLetter(ctx engine.Context, msg any, reason string, cause error) error {
	id, err := identity.ParseUUID(ctx.Key())
	event, _ := msg.(*flowv1.FlowEvent)
	if err != nil || ctx.Topic() == topics.FlowCommands || event.GetCommand() != nil {
		return nil //nolint:nilerr // no flow has such an id
	}
	t := w.newTurn(ctx, id, 0)
	fault := platformError(ErrDeadLetter, "a record of this flow (%s) went to the dead letters, %s: %s", ctx.Cause(), reason, validText(firstLine(cause.Error())))
	if t.state.Head != nil {
		if Ended(t.state.Head.GetState()) {
			return nil
		}
		return t.run(Broke{Error: fault, NowUs: t.nowUs})
	}
	if e := event.GetSession(); e != nil && SessionInitOf(e) != nil && checkSessionEvent(e) == nil {
		return t.run(NoResponder{Event: e, Flow: id, Type: noResponder, Message: fault.GetMessage(), NowUs: t.nowUs})
	}
	started := event.GetStarted()
	if started == nil || string(started.GetFlowId()) != string(id[:]) {
		return nil
	}
	// The journal's first row needs a seed, although nothing will be drawn from it.
	e := Started{Started: started, Seed: make([]byte, 32), Refused: fault, NowUs: t.nowUs}
	if _, err := io.ReadFull(w.deps.Random, e.Seed); err != nil {
		return fmt.Errorf("draw a seed: %w", err)
	}
	return t.run(e)
}

// firstLine leaves the stack of a panic to the dead letter.
func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// onDrop forgets the instance of a flow whose last event was undone.
func (w *Worker) onDrop(_ int32, key string) {
	if id, err := identity.ParseUUID(key); err == nil {
		w.live.drop(w.ctx, id)
	}
}

// onLoss forgets the instances of a partition: its last transaction was undone, or it is not this process's.
func (w *Worker) onLoss(partition int32) { w.live.dropPartition(w.ctx, partition) }

// asNotHere tells whether an error may be gone later.
func asNotHere(err error) bool {
	var e *notHereError
	return errors.As(err, &e)
}

// asComing tells whether an error will be gone later.
func asComing(err error) bool {
	var e *notHereError
	return errors.As(err, &e) && e.coming
}
