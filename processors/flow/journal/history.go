package journal

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// ApplicationErrorID is the stable id of a failure that the flow's own code reported.
const ApplicationErrorID = "FL-FLOW-001"

// PanicErrorID is the stable id of a panic of the flow's own code.
const PanicErrorID = "FL-FLOW-016"

// maxShown is where texts for people are cut, bytes.
const maxShown = 256

// Entry is one line of a flow's history.
type Entry struct {
	Attempt, Step, Ordinal uint32
	// AtUs is when it was asked or happened, microseconds UTC.
	AtUs int64
	// What happened: "start", the operation's name, or "end".
	What string
	// Detail of what was asked, for people.
	Detail string
	// AnsweredAtUs is when the answer came, zero while there is none; Answer shows it.
	AnsweredAtUs int64
	Answer       string
	// RequestID joins the entry with the requests and replies of other workers.
	RequestID string
	// Cut tells that a retry left this entry behind: it is not part of what the flow goes on from.
	Cut bool
}

// History tells a flow's story in the order in which it happened. A nil line takes what the rows say.
func History(j *Journal, line Line) []Entry {
	if line == nil {
		line = j.Line()
	}
	entries := make([]Entry, 0, j.Len())
	for _, k := range j.keys {
		e := Entry{Attempt: k.Attempt, Step: k.Step, Ordinal: k.Ordinal, Cut: line.AttemptOf(k.Step) != k.Attempt}
		switch row := j.rows[k].GetRow().(type) {
		case *flowv1.JournalRow_Start:
			e.AtUs, e.What, e.Detail = row.Start.GetNowUs(), "start", describeStart(row.Start)
		case *flowv1.JournalRow_Request:
			q := row.Request
			e.AtUs, e.What, e.RequestID = q.GetAskedAtUs(), q.GetOperation(), q.GetRequestId()
			e.Detail = describeArguments(q.GetOperation(), q.GetArguments())
			if Answered(q) {
				e.AnsweredAtUs, e.Answer = q.GetAnsweredAtUs(), describeAnswer(q.GetOperation(), q.GetAnswer())
			}
		case *flowv1.JournalRow_End:
			e.AtUs, e.What, e.Detail = row.End.GetAtUs(), "end", strings.TrimPrefix(describeEnd(row.End), "end ")
		}
		entries = append(entries, e)
	}
	return entries
}

// Text is one line for a terminal.
func (e Entry) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %d.%d.%d  %s", instant(e.AtUs), e.Attempt, e.Step, e.Ordinal, e.What)
	if e.Detail != "" {
		b.WriteString(" " + e.Detail)
	}
	switch {
	case e.AnsweredAtUs != 0:
		fmt.Fprintf(&b, " → %s after %s", e.Answer, time.Duration(e.AnsweredAtUs-e.AtUs)*time.Microsecond)
	case e.What != "start" && e.What != "end":
		b.WriteString(" → no answer yet")
	}
	if e.Cut {
		b.WriteString(" (cut by a retry)")
	}
	return b.String()
}

func instant(us int64) string {
	return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.000000Z")
}

func describeRows(rows []*flowv1.JournalRow) string {
	texts := make([]string, len(rows))
	for i, row := range rows {
		texts[i] = describeRow(row)
	}
	return strings.Join(texts, "; ")
}

func describeRow(row *flowv1.JournalRow) string {
	switch r := row.GetRow().(type) {
	case *flowv1.JournalRow_Start:
		return "start " + describeStart(r.Start)
	case *flowv1.JournalRow_Request:
		return describeRequest(r.Request.GetOperation(), r.Request.GetArguments(), r.Request.GetArgumentsSha256())
	case *flowv1.JournalRow_End:
		return describeEnd(r.End)
	default:
		return "a row without content"
	}
}

func describeStart(s *flowv1.JournalStart) string {
	var start appv1.Start
	if err := proto.Unmarshal(s.GetStart(), &start); err != nil {
		return "that cannot be decoded"
	}
	module := hex.EncodeToString(s.GetModuleSha256())
	return fmt.Sprintf("%s with %s, module %s", start.GetFlowClass(), cut(start.GetInput()), module[:min(12, len(module))])
}

func describeEnd(e *flowv1.JournalEnd) string {
	switch e.GetState() {
	case flowv1.FlowState_FLOW_STATE_COMPLETED:
		return "end with " + cut(e.GetResult())
	case flowv1.FlowState_FLOW_STATE_FAILED:
		return fmt.Sprintf("fail with %s: %s (%s)", e.GetError().GetType(), cut([]byte(e.GetError().GetMessage())), e.GetError().GetId())
	default:
		return "killed: " + cut([]byte(e.GetError().GetMessage()))
	}
}

// describeArguments says what was asked. Arguments that were too long to be kept are told by what is left of them.
func describeArguments(operation string, raw []byte) string {
	if len(raw) == 0 {
		return ""
	}
	if text := describeOperation(operation, raw); text != "" {
		return text
	}
	return fmt.Sprintf("%d bytes", len(raw))
}

// describeOperation says what is asked in an operation that people care about; empty for the others.
func describeOperation(operation string, raw []byte) string {
	read := func(m proto.Message) bool { return proto.Unmarshal(raw, m) == nil }
	var (
		sleep   appv1.Sleep
		open    appv1.OpenSession
		send    appv1.SendMessage
		receive appv1.ReceiveMessage
		sign    appv1.Sign
		emit    appv1.EmitMessage
		unique  appv1.CheckUniqueness
		members appv1.LookupMembers
		query   appv1.NamedQuery
		verify  appv1.VerifyTransaction
		claim   appv1.ClaimTokens
		request appv1.LedgerRequest
		code    appv1.PackageRequest
		signs   appv1.SignTransactions
		table   appv1.FindAllRows // the name of the table is the first field of all that ask of one
	)
	switch operation {
	case "sleep":
		if read(&sleep) {
			return (time.Duration(sleep.GetDurationUs()) * time.Microsecond).String()
		}
	case "open_session":
		if read(&open) {
			return fmt.Sprintf("with %s, %s %v", cut([]byte(open.GetCounterpartyX500Name())), cut([]byte(open.GetProtocol())), open.GetVersions())
		}
	case "send":
		if read(&send) {
			more := ""
			if send.GetMore() {
				more = ", more follows"
			}
			return fmt.Sprintf("in session %s: %d bytes%s", short(send.GetSessionId()), len(send.GetPayload()), more)
		}
	case "receive", "close_session", "session_info": // all three have the session's id, and nothing else
		if read(&receive) {
			return "in session " + short(receive.GetSessionId())
		}
	case "sign":
		if read(&sign) {
			return fmt.Sprintf("%d bytes", len(sign.GetData()))
		}
	case "emit":
		if read(&emit) {
			return fmt.Sprintf("to channel %s: %d bytes", cut([]byte(emit.GetChannel())), len(emit.GetValue()))
		}
	case "check_uniqueness":
		if read(&unique) {
			return fmt.Sprintf("%X: %d inputs, %d references, %d outputs", unique.GetTransaction(), len(unique.GetInputs()), len(unique.GetReferences()), unique.GetOutputs())
		}
	case "lookup_members":
		if read(&members) && len(members.GetX500Names()) > 0 {
			return cut([]byte(strings.Join(members.GetX500Names(), "; ")))
		}
	case "query":
		if read(&query) {
			return cut([]byte(query.GetName()))
		}
	case "claim_tokens":
		if read(&claim) {
			if n := len(claim.GetStates()); n > 0 {
				return cut([]byte(fmt.Sprintf("%d states of %s (%s)", n, claim.GetPool().GetSymbol(), claim.GetPool().GetType())))
			}
			return cut([]byte(fmt.Sprintf("%s %s (%s)", claim.GetAmount(), claim.GetPool().GetSymbol(), claim.GetPool().GetType())))
		}
	case "ledger":
		if read(&request) {
			return describeLedger(&request)
		}
	case "package":
		if read(&code) {
			return describePackage(&code)
		}
	case "sign_transactions":
		if read(&signs) {
			return fmt.Sprintf("%d transactions", len(signs.GetIds()))
		}
	case "verify":
		if read(&verify) {
			if tx, err := ledger.Decode(verify.GetTransaction()); err == nil {
				return "transaction " + tx.ID().String()
			}
		}
	case "persist", "merge", "remove", "find", "find_all":
		if read(&table) {
			return "table " + cut([]byte(table.GetTable()))
		}
	}
	return ""
}

// short is enough of a session's id to tell sessions apart.
func short(id string) string { return cut([]byte(id[:min(len(id), 8)])) }

func describeAnswer(operation string, raw []byte) string {
	var a appv1.Answer
	if err := proto.Unmarshal(raw, &a); err != nil {
		return "an answer that cannot be decoded"
	}
	if e := a.GetError(); e != nil {
		return fmt.Sprintf("error %s: %s", e.GetType(), cut([]byte(e.GetMessage())))
	}
	var (
		opened   appv1.OpenedSession
		received appv1.ReceivedMessage
		info     appv1.SessionInfoResult
		unique   appv1.UniquenessAnswer
		verified appv1.Verification
		claimed  appv1.TokenClaim
	)
	read := func(m proto.Message) bool { return proto.Unmarshal(a.GetResult(), m) == nil }
	switch {
	case operation == "open_session" && read(&opened):
		return "session " + cut([]byte(opened.GetSessionId()))
	case operation == "receive" && read(&received):
		more := ""
		if received.GetMore() {
			more = ", more follows"
		}
		return fmt.Sprintf("%d bytes%s", len(received.GetPayload()), more)
	case operation == "session_info" && read(&info):
		return fmt.Sprintf("%s version %d", cut([]byte(info.GetProtocol())), info.GetProtocolVersion())
	case operation == "check_uniqueness" && read(&unique):
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(unique.GetResult().String(), "UNIQUENESS_RESULT_"), "_", " "))
	case operation == "claim_tokens" && read(&claimed):
		if claimed.GetClaimId() == "" {
			return fmt.Sprintf("not enough: %s available", claimed.GetAvailable())
		}
		return fmt.Sprintf("%d tokens worth %s", len(claimed.GetTokens()), claimed.GetAmount())
	case operation == "verify" && read(&verified):
		text := verified.GetStatus()
		for _, f := range verified.GetFailures() {
			parts := slices.DeleteFunc([]string{f.GetContract(), f.GetComponent(), f.GetMessage()}, func(s string) bool { return s == "" })
			text += "; " + strings.Join(parts, ": ")
		}
		return cut([]byte(text))
	case len(a.GetResult()) > 0:
		return fmt.Sprintf("ok, %d bytes", len(a.GetResult()))
	}
	return "ok"
}

// cut makes bytes of an application fit for a line of text.
func cut(b []byte) string {
	if len(b) == 0 {
		return "nothing"
	}
	if !utf8.Valid(b) {
		return fmt.Sprintf("%d bytes", len(b))
	}
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, string(b))
	if len(s) > maxShown {
		s = strings.ToValidUTF8(s[:maxShown], "") + "…"
	}
	return s
}
