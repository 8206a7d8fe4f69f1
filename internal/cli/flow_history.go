package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
)

// historyStep is one step of a flow as REST tells it.
type historyStep struct {
	Attempt, Step, Ordinal uint32
	Kind, Operation        string
	Arguments, Answer      json.RawMessage
	At                     time.Time
	AnsweredAt             *time.Time
	WaitedMicros           int64
	Error                  *flowFailure
	Cut                    bool
}

func newFlowHistoryCommand(g *Globals) *cobra.Command {
	return &cobra.Command{
		Use: "history [VNODE] ID", Short: "Show what a flow asked and was answered, step by step", Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.withRest(cmd, func(ctx context.Context, c *restClient) error {
				s, err := lookFlow(ctx, c, args)
				if err != nil {
					return err
				}
				_, raw, err := c.do(ctx, "GET", flowPath(ownAPI, s.Holding, s.ClientRequestID)+"/history", nil)
				if err != nil {
					return err
				}
				if g.Output == "json" {
					return g.printJSON(json.RawMessage(raw))
				}
				var h struct{ Steps []historyStep }
				if err := json.Unmarshal(raw, &h); err != nil {
					return fmt.Errorf("read the history: %w", err)
				}
				return g.showHistory(s, h.Steps)
			})
		},
	}
}

func (g *Globals) showHistory(s flowStatus, steps []historyStep) error {
	if len(steps) == 0 {
		fmt.Fprintln(g.Out, "no steps: the flow has not begun, or its journal is no longer kept")
		return nil
	}
	began := steps[0].At
	for _, x := range steps { // a retry from step 0 writes the start anew, later than what it cut off
		if x.At.Before(began) {
			began = x.At
		}
	}
	rows := make([][]string, 0, len(steps))
	for _, x := range steps {
		place := fmt.Sprintf("%d.%d", x.Step, x.Ordinal)
		if x.Attempt > 1 {
			place = fmt.Sprintf("%s (attempt %d)", place, x.Attempt)
		}
		what := x.Operation
		switch {
		case x.Kind == "start":
			what = strings.TrimSpace("start " + x.Operation + " " + string(x.Arguments))
		case len(x.Arguments) > 0:
			what += " " + argumentsText(x.Operation, x.Arguments)
		}
		outcome := ""
		switch {
		case x.Error != nil:
			outcome = x.Error.Type + ": " + x.Error.Message
		case x.AnsweredAt != nil:
			outcome = "after " + (time.Duration(x.WaitedMicros) * time.Microsecond).String()
			if answer := answerText(x.Operation, x.Answer); answer != "" {
				outcome += ": " + answer
			}
		case x.Kind == "end":
			outcome = string(x.Answer)
		case x.Kind == "request":
			outcome = "no answer yet"
		}
		if x.Cut {
			outcome += " (cut by a retry)"
		}
		rows = append(rows, []string{place, "+" + x.At.Sub(began).String(), shorten(what, 70), shorten(outcome, 70)})
	}
	fmt.Fprintf(g.Out, "flow %s, %s, began %s\n", s.FlowID, s.FlowStatus, localTime(began))
	return g.printTable([]string{"STEP", "AT", "WHAT", "OUTCOME"}, rows)
}

// argumentsText shows the arguments of an operation for people: REST has bytes as base64, and most of them are JSON.
func argumentsText(operation string, raw json.RawMessage) string {
	field := (&appv1.Request{}).ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(operation))
	if field == nil || field.Message() == nil {
		return string(raw)
	}
	m := dynamicpb.NewMessage(field.Message())
	if protojson.Unmarshal(raw, m) != nil { // too long to be kept, or of a newer version
		return string(raw)
	}
	return humanText(m)
}

// answerText shows what an operation was answered; empty when that is nothing but that it was done.
func answerText(operation string, raw json.RawMessage) string {
	var encoded []byte
	if len(raw) == 0 || json.Unmarshal(raw, &encoded) != nil || len(encoded) == 0 {
		return ""
	}
	var m proto.Message
	switch operation {
	case "open_session":
		m = &appv1.OpenedSession{}
	case "receive":
		m = &appv1.ReceivedMessage{}
	case "session_info":
		m = &appv1.SessionInfoResult{}
	case "sign":
		m = &appv1.Signature{}
	case "find_keys":
		m = &appv1.Keys{}
	case "check_signatures":
		m = &appv1.CheckedSignatures{}
	case "find", "find_all", "query":
		m = &appv1.Rows{}
	case "lookup_members":
		m = &appv1.Members{}
	default:
		return plural(len(encoded), "byte")
	}
	if proto.Unmarshal(encoded, m) != nil {
		return plural(len(encoded), "byte")
	}
	return humanText(m)
}
