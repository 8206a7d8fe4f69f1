package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
)

// tailFlags are the flags of tail.
type tailFlags struct {
	from, to, key, format string
	grep                  []string
	follow, reveal        bool
}

func newTailCommand(g *Globals) *cobra.Command {
	var f tailFlags
	cmd := &cobra.Command{
		Use: "tail TOPIC…", Short: "Show the records of topics", Args: cobra.MinimumNArgs(1), ValidArgsFunction: topicNames,
		Long: `Shows committed records, decoded by their message type, in the order of their times.

Payloads that belong to tenants are masked unless --reveal, which is written to the audit topic; secrets are never
shown. --grep looks at what is shown: [!][k:|v:|h:NAME=]REGEXP for the key, the value, a header or any of them.
--format knows %t topic, %p partition, %o offset, %d time, %k key, %y message type, %v value, %j value as JSON,
%h headers, %s bytes of the value.`,
		Example: `  fairlead tail flow.status --from -5
  fairlead tail flow.events flow.commands --from @-15m --key 1c6f… --follow
  fairlead tail flow-mapper.dlq --grep h:fl-dlq-reason=decode -o json`,
		RunE: func(cmd *cobra.Command, args []string) error { return g.tail(cmd, args, f) },
	}
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "-10", "begin at start, end, -N (so many records before the end), OFFSET or @TIME")
	fl.StringVar(&f.to, "to", "end", "end before end, OFFSET or @TIME")
	fl.StringVar(&f.key, "key", "", "only records of this key (hex: and digits for bytes); only its partition is read")
	fl.StringArrayVar(&f.grep, "grep", nil, "only records that match; may be repeated, all must match")
	fl.BoolVar(&f.follow, "follow", false, "go on with new records until interrupted")
	fl.StringVar(&f.format, "format", defaultFormat, "how a record is written")
	fl.BoolVar(&f.reveal, "reveal", false, "show the payloads of tenants; this is audited")
	return cmd
}

// tailJob is one run of tail.
type tailJob struct {
	g      *Globals
	viewer *viewer
	match  filters
	format format
	rng    kafkaadmin.Range
	// lastN bounds the records before the end that are shown, over all partitions; 0 for no bound.
	lastN int
}

func (g *Globals) tail(cmd *cobra.Command, args []string, f tailFlags) error {
	job, err := g.newTail(args, f)
	if err != nil {
		return err
	}
	begin := g.Context
	if f.follow {
		begin = g.WaitContext
	}
	ctx, cancel := begin(cmd)
	defer cancel()
	a, s, err := g.Kafka(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	for i, name := range job.rng.Topics {
		if t, err := findTopic(name, s.Prefix); err == nil {
			job.rng.Topics[i] = t.Name
		}
	}
	if job.viewer, err = newViewer(a, f.reveal); err != nil {
		return err
	}
	if f.reveal {
		if err := g.auditReveal(ctx, job.viewer, job.rng.Topics, fmt.Sprintf("tail --from %s --to %s --key %q", f.from, f.to, f.key)); err != nil {
			return err
		}
	}
	err = job.run(ctx, a, f.follow)
	if f.follow && errors.Is(err, context.Canceled) {
		return nil // interrupted by its user
	}
	return err
}

func (g *Globals) newTail(args []string, f tailFlags) (*tailJob, error) {
	job := &tailJob{g: g, rng: kafkaadmin.Range{Topics: slices.Clone(args)}}
	var err error
	if job.rng.From, err = parsePoint("from", f.from, g.now()); err != nil {
		return nil, err
	}
	to, err := parsePoint("to", f.to, g.now())
	if err != nil {
		return nil, err
	}
	if f.follow && !to.IsEnd() {
		return nil, errors.New("--follow and --to: what has an end cannot be followed")
	}
	job.rng.To = &to
	if n, ok := job.rng.From.LastN(); ok {
		job.lastN = int(n)
	}
	if f.key != "" {
		if job.match.key, err = parseKey(f.key); err != nil {
			return nil, err
		}
	}
	for _, text := range f.grep {
		one, err := parseFilter(text)
		if err != nil {
			return nil, err
		}
		job.match.grep = append(job.match.grep, one)
	}
	if !strings.HasSuffix(f.format, `\n`) {
		f.format += `\n`
	}
	job.format, err = parseFormat(f.format)
	return job, err
}

func (j *tailJob) run(ctx context.Context, a *kafkaadmin.Admin, follow bool) error {
	spans, err := a.Spans(ctx, j.rng)
	if err != nil {
		return err
	}
	if j.match.key != nil {
		spans = onlyKey(spans, j.viewer, j.match.key)
	}
	var last []shownRecord
	err = a.ReadSpans(ctx, spans, func(r kafkaadmin.Record) error {
		if j.lastN == 0 {
			return j.each(ctx, r, func(s shownRecord) error { return j.g.printRecord(s, j.format) })
		}
		return j.each(ctx, r, func(s shownRecord) error {
			if last = append(last, s); len(last) > j.lastN {
				last = last[1:]
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, s := range last {
		if err := j.g.printRecord(s, j.format); err != nil {
			return err
		}
	}
	if !follow {
		return nil
	}
	return a.Follow(ctx, spans, func(r kafkaadmin.Record) error {
		return j.each(ctx, r, func(s shownRecord) error { return j.g.printRecord(s, j.format) })
	})
}

// each hands a record on when all conditions hold.
func (j *tailJob) each(ctx context.Context, r kafkaadmin.Record, f func(shownRecord) error) error {
	if !j.match.matchKey(r.Key) {
		return nil
	}
	s, err := j.viewer.show(ctx, r)
	if err != nil {
		return err
	}
	if !j.match.match(s) {
		return nil
	}
	return f(s)
}

// onlyKey leaves out the partitions that cannot hold a key.
func onlyKey(spans []kafkaadmin.Span, v *viewer, key []byte) []kafkaadmin.Span {
	count := map[string]int{}
	for _, s := range spans {
		count[s.Topic]++
	}
	return slices.DeleteFunc(spans, func(s kafkaadmin.Span) bool {
		only := partitionsOf(v.row(s.Topic), key, count[s.Topic])
		return only != nil && !slices.Contains(only, s.Partition)
	})
}
