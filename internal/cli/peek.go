package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
)

// peekFlags are the flags of peek.
type peekFlags struct {
	key       string
	partition int32
	offset    int64
	reveal    bool
}

func newPeekCommand(g *Globals) *cobra.Command {
	var f peekFlags
	cmd := &cobra.Command{
		Use: "peek TOPIC", Short: "Show one record, decoded, with its headers", Args: cobra.ExactArgs(1), ValidArgsFunction: topicNames,
		Long: `Shows the last record of a key, or the record at a partition and offset, or the last record of the topic. Payloads that
belong to tenants are masked unless --reveal, which is written to the audit topic; secrets are never shown.`,
		Example: "  fairlead peek virtual.node.info --key A1B2C3D4E5F6\n  fairlead peek flow.events --partition 3 --offset 42 --reveal",
		RunE:    func(cmd *cobra.Command, args []string) error { return g.peek(cmd, args[0], f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.key, "key", "", "the record's key (hex: and digits for bytes)")
	fl.Int32Var(&f.partition, "partition", -1, "the record's partition")
	fl.Int64Var(&f.offset, "offset", -1, "the record's offset; needs --partition")
	fl.BoolVar(&f.reveal, "reveal", false, "show the payload of a tenant; this is audited")
	return cmd
}

func (g *Globals) peek(cmd *cobra.Command, topic string, f peekFlags) error {
	if f.offset >= 0 && (f.partition < 0 || f.key != "") {
		return errors.New("--offset needs --partition and no --key")
	}
	key, err := parseKey(f.key)
	if err != nil {
		return err
	}
	ctx, cancel := g.Context(cmd)
	defer cancel()
	a, s, err := g.Kafka(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	if t, err := findTopic(topic, s.Prefix); err == nil {
		topic = t.Name
	}
	v, err := newViewer(a, f.reveal)
	if err != nil {
		return err
	}
	spans, err := a.Spans(ctx, kafkaadmin.Range{Topics: []string{topic}})
	if err != nil {
		return err
	}
	var found *kafkaadmin.Record
	switch {
	case f.offset >= 0:
		found, err = at(ctx, a, spans, f)
	default:
		wanted := func(r kafkaadmin.Record) bool { return f.key == "" || bytes.Equal(r.Key, key) }
		if f.key != "" {
			spans = onlyKey(spans, v, key)
		}
		if f.partition >= 0 {
			spans = slices.DeleteFunc(spans, func(s kafkaadmin.Span) bool { return s.Partition != f.partition })
		}
		found, err = last(ctx, a, spans, wanted)
	}
	if err != nil {
		return err
	}
	if found == nil {
		return notFound("topic %s has no such record", topic)
	}
	if f.reveal {
		if err := g.auditReveal(ctx, v, []string{topic}, fmt.Sprintf("peek %s/%d/%d", topic, found.Partition, found.Offset)); err != nil {
			return err
		}
	}
	shown, err := v.show(ctx, *found)
	if err != nil {
		return err
	}
	return g.showPeeked(shown)
}

// at reads the record at a place, nil when there is none.
func at(ctx context.Context, a *kafkaadmin.Admin, spans []kafkaadmin.Span, f peekFlags) (*kafkaadmin.Record, error) {
	var found *kafkaadmin.Record
	for _, s := range spans {
		if s.Partition != f.partition || f.offset < s.From || f.offset >= s.To {
			continue
		}
		s.From, s.To = f.offset, f.offset+1
		err := a.ReadSpans(ctx, []kafkaadmin.Span{s}, func(r kafkaadmin.Record) error {
			found = &r
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// firstWindow is how many records before the end are looked at first; each look after that takes eight times as many.
const firstWindow = 256

// last finds the youngest record that is wanted, reading backwards from the ends; nil when there is none.
func last(ctx context.Context, a *kafkaadmin.Admin, spans []kafkaadmin.Span, wanted func(kafkaadmin.Record) bool) (*kafkaadmin.Record, error) {
	for window := int64(firstWindow); ; window *= 8 {
		var look []kafkaadmin.Span
		left := false
		for i, s := range spans {
			from := max(s.From, s.To-window)
			look = append(look, kafkaadmin.Span{Topic: s.Topic, Partition: s.Partition, From: from, To: s.To})
			spans[i].To = from
			left = left || from > s.From
		}
		var found *kafkaadmin.Record
		err := a.ReadSpans(ctx, look, func(r kafkaadmin.Record) error {
			if wanted(r) && (found == nil || !r.Time.Before(found.Time)) {
				found = &r
			}
			return nil
		})
		if err != nil || found != nil || !left {
			return found, err
		}
	}
}

func (g *Globals) showPeeked(r shownRecord) error {
	if g.Output == "json" {
		return g.printRecord(r, nil)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%-10s %s/%d/%d\n%-10s %s\n%-10s %s\n%-10s %s\n", "place", r.Topic, r.Partition, r.Offset, "time", r.Time, "key", r.Key, "type", typeOr(r))
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		fmt.Fprintf(&b, "%-10s %s: %s\n", "header", name, r.Headers[name])
	}
	value := r.text
	if len(r.Value) > 0 {
		var indented bytes.Buffer
		if err := json.Indent(&indented, r.Value, "", "  "); err != nil {
			return fmt.Errorf("show the value: %w", err)
		}
		value = indented.String()
	}
	fmt.Fprintf(&b, "%-10s %d bytes\n%s\n", "value", r.Bytes, value)
	if r.Problem != "" {
		fmt.Fprintf(&b, "(%s)\n", r.Problem)
	}
	_, err := g.Out.Write(b.Bytes())
	return err
}
