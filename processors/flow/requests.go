package flow

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/processors/flow/journal"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	persistencev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/persistence/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Names of operations, as the journal has them.
const (
	opSleep      = "sleep"
	opCheckpoint = "checkpoint"
	opReceive    = "receive"
	opClose      = "close_session"
	opInfo       = "session_info"
)

// replyGraceUs is how much longer than its deadline a reply is waited for, microseconds: a worker may answer at the last
// moment, and what it did should be known.
const replyGraceUs = 5_000_000

// repliesTo is the only topic on which the answer to an operation is taken, empty when no other worker is asked.
func repliesTo(operation string) string {
	switch operation {
	case "sign", "sign_transactions":
		return topics.FlowRepliesCrypto
	case "persist", "merge", "remove", "find", "find_all", "query", "ledger":
		return topics.FlowRepliesPersistence
	case "check_uniqueness":
		return topics.FlowRepliesUniqueness
	case "verify":
		return topics.FlowRepliesVerification
	case "package":
		return topics.FlowRepliesPackages
	case opClaimTokens, opReleaseTokens, opTokenBalance:
		return topics.FlowRepliesTokens
	default:
		return ""
	}
}

// requestsTo is where the requests go whose replies come in on a topic.
func requestsTo(replies string) string {
	switch replies {
	case topics.FlowRepliesCrypto:
		return topics.CryptoRequests
	case topics.FlowRepliesUniqueness:
		return topics.UniquenessRequests
	case topics.FlowRepliesVerification:
		return topics.VerificationRequests
	case topics.FlowRepliesPackages:
		return topics.PackageRequests
	case topics.FlowRepliesTokens:
		return topics.TokensRequests
	default:
		return topics.PersistenceRequests
	}
}

// timerAt is when the timer of a waiting request is due, zero when it has none.
func timerAt(w *flowv1.Waiting) int64 {
	switch {
	case w.GetDeadlineUs() == 0:
		return 0
	case repliesTo(w.GetOperation()) != "":
		return w.GetDeadlineUs() + replyGraceUs
	default:
		return w.GetDeadlineUs()
	}
}

// request asks another worker and waits.
func (d *draft) request(i int, key string, m proto.Message, nowUs int64) {
	deadline := nowUs + d.Rules.RequestTimeoutUs
	d.wait(i, deadline)
	w := d.Head.Waiting[len(d.Head.Waiting)-1]
	d.do(
		SendRequest{Topic: requestsTo(repliesTo(w.GetOperation())), Key: key, Message: m, RequestID: w.GetRequestId(), DeadlineUs: deadline},
		SetTimer{d.attempt(), d.Head.GetStep(), uint32(i), timerAt(w)},
		Note{OutcomeRequest},
	)
}

// sign asks crypto, under the Vault name of the key.
func (d *draft) sign(i int, op *appv1.Sign, vaultName string, nowUs int64) {
	d.request(i, vaultName, &cryptov1.Request{Tenant: d.Head.GetStart().GetVnode(), Operation: &cryptov1.Request_Sign{Sign: &cryptov1.Sign{
		Purpose: cryptov1.Purpose_PURPOSE_APPLICATION, PublicKey: op.GetPublicKey(), Data: op.GetData(), Scheme: op.GetScheme(),
	}}}, nowUs)
}

// rows asks persistence.
func (d *draft) rows(i int, a journal.Asked, nowUs int64) {
	r := &persistencev1.Request{Vnode: d.Head.GetStart().GetVnode(), CpiChecksum: d.Head.GetCpiChecksum(), FlowId: d.id().String()}
	switch op := a.Request.GetOperation().(type) {
	case *appv1.Request_Persist:
		r.Operation = &persistencev1.Request_Persist{Persist: op.Persist}
	case *appv1.Request_Merge:
		r.Operation = &persistencev1.Request_Merge{Merge: op.Merge}
	case *appv1.Request_Remove:
		r.Operation = &persistencev1.Request_Remove{Remove: op.Remove}
	case *appv1.Request_Find:
		r.Operation = &persistencev1.Request_Find{Find: op.Find}
	case *appv1.Request_FindAll:
		r.Operation = &persistencev1.Request_FindAll{FindAll: op.FindAll}
	case *appv1.Request_Query:
		r.Operation = &persistencev1.Request_Query{Query: op.Query}
	}
	d.request(i, r.GetFlowId(), r, nowUs)
}

// uniqueness asks the memory of the notary that the flow's virtual node is.
func (d *draft) uniqueness(i int, op *appv1.CheckUniqueness, nowUs int64) {
	notary := d.Head.GetStart().GetVnode()
	d.request(i, notary, &uniquenessv1.Request{Notary: notary, FlowId: d.id().String(), Check: op}, nowUs)
}

// replied takes another worker's answer, if it is the one that is waited for.
func (d *draft) replied(e Replied) error {
	if !d.alive() {
		d.note(OutcomeStale)
		return nil
	}
	for _, w := range d.Head.GetWaiting() {
		i := int(w.GetOrdinal())
		if w.GetRequestId() != e.RequestID || repliesTo(w.GetOperation()) != e.Topic || e.RequestID == "" || i >= len(d.Open) {
			continue
		}
		d.Head.UpdatedAtUs = e.NowUs
		d.do(CancelTimer{d.attempt(), d.Head.GetStep(), w.GetOrdinal()})
		d.note(OutcomeReply)
		if failed := d.take(i, w.GetOperation(), d.signed(i, e.Reply), e.NowUs); !failed && !e.Hold {
			d.proceed(e.NowUs)
		}
		return nil
	}
	d.note(OutcomeStale)
	return nil
}

// take makes a reply the answer of a request, and tells whether it failed the flow instead.
func (d *draft) take(i int, operation string, r *rpcv1.Reply, nowUs int64) (failed bool) {
	switch o := r.GetOutcome().(type) {
	case *rpcv1.Reply_Result:
		d.settleClaim(i, operation, o.Result)
		if len(o.Result) > d.Rules.MaxResult {
			d.note(OutcomeTooLarge)
			d.answerError(i, TypeLimit, fmt.Sprintf("the result of %s has %d bytes, at most %d are allowed: ask for less, page by page", operation, len(o.Result), d.Rules.MaxResult), nowUs)
			return false
		}
		d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Result{Result: o.Result}}, nowUs)
	case *rpcv1.Reply_Error:
		kind, text := o.Error.GetType(), o.Error.GetMessage()
		if kind == "" {
			kind = TypePlatform
		}
		if o.Error.GetClass() == rpcv1.ErrorClass_ERROR_CLASS_FATAL {
			e := platformError(ErrService, "%s failed for good: %s", operation, text)
			if o.Error.GetId() != "" {
				e.Id, e.Message = o.Error.GetId(), text
			}
			e.Type = kind
			d.fail(e, nowUs)
			return true
		}
		d.answerError(i, kind, text, nowUs)
	default:
		d.answerError(i, TypePlatform, fmt.Sprintf("the reply to %s is neither a result nor an error", operation), nowUs)
	}
	return false
}

// overdue gives a request up.
func (d *draft) overdue(i int, operation string, nowUs int64) {
	d.note(OutcomeTimeout)
	d.answerError(i, TypeTimeout, fmt.Sprintf("%s was not answered within %s; whether it was done is not known", operation, micros(d.Rules.RequestTimeoutUs)), nowUs)
}

// emit writes to an external channel.
func (d *draft) emit(i int, op *appv1.EmitMessage, topic string, nowUs int64) {
	if topic != "" {
		d.do(EmitRecord{Topic: topic, Key: op.GetKey(), Value: op.GetValue(), Headers: op.GetHeaders()}, Note{OutcomeEmitted})
		d.Bytes += len(op.GetKey()) + len(op.GetValue())
	}
	d.answer(i, &appv1.Answer{Outcome: &appv1.Answer_Result{}}, nowUs)
}
