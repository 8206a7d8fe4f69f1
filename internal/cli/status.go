package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/topics"
)

// statusFlags are what counts as unwell.
type statusFlags struct {
	workers []string
	since   time.Duration
	maxLag  int64
}

func newStatusCommand(g *Globals) *cobra.Command {
	var f statusFlags
	cmd := &cobra.Command{
		Use: "status", Short: "Show how the cluster is: groups, lag, dead letters, what waits for what", Args: cobra.NoArgs,
		Long: `Asks Kafka for the consumer groups (members, records that they have still to read, dead letters of the last --since) and
every worker's process that it knows for what it waits for, and prints one table and below it what is unwell, with what to
do next. What cannot be reached is unwell; the rest is shown all the same.

The processes are those of --workers, else the context's (workers: in the configuration file; fairlead dev writes its own):
the address of monitor.address of each. Kafka does not know them, and without any only Kafka's side is shown.

Exit code 2 tells that something is unwell, or more than --max-lag records behind.`,
		Example: "  fairlead status\n  fairlead status --workers worker-0:7000,worker-1:7000 --since 1h",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.since <= 0 {
				return fmt.Errorf("--since %s: a time above zero is needed, for example 24h", f.since)
			}
			ctx, cancel := g.Context(cmd)
			defer cancel()
			return g.status(ctx, f)
		},
	}
	fl := cmd.Flags()
	fl.StringSliceVar(&f.workers, "workers", nil, "`addresses` of the workers' processes (monitor.address), host:port or URLs, separated by commas; the context's when left out")
	fl.DurationVar(&f.since, "since", 24*time.Hour, "count dead letters of this last `time`")
	fl.Int64Var(&f.maxLag, "max-lag", 1000, "how many records a group may have still to read")
	return cmd
}

// statusReport is what was found out.
type statusReport struct {
	Well     bool            `json:"well"`
	Problems []string        `json:"problems"`
	Groups   []groupReport   `json:"groups"`
	Workers  []processReport `json:"workers"`
}

type groupReport struct {
	Group   string `json:"group"`
	State   string `json:"state"`
	Members int    `json:"members"`
	Lag     int64  `json:"lag"`
	// DeadLetters counts those since DeadSince, at most maxDeadLetters.
	DeadLetters int        `json:"deadLetters"`
	LastDead    *time.Time `json:"lastDeadLetter,omitempty"`
	WaitsFor    []string   `json:"waitsFor"`
}

func (r *statusReport) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

// noKafka says what cannot be known, why, and what to do, each on a line of its own.
func (r *statusReport) noKafka(err error) {
	var away *unreachableError
	if !errors.As(err, &away) {
		r.problem("Kafka: %s", oneLine(err))
		return
	}
	r.problem("Kafka at %s does not answer, so that of its groups nothing is known\nwhy: %s\nremedy: %s", strings.Join(away.brokers, ", "), oneLine(away.err), away.remedy())
}

// oneLine is an error on one line, without what it says twice.
func oneLine(err error) string {
	var out []string
	for line := range strings.Lines(err.Error()) {
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return strings.Join(out, "; ")
}

// maxDeadLetters is how many dead letters of a group are counted.
const maxDeadLetters = 1000

// statusTime bounds what is waited for of Kafka and of each process: who asks is in a hurry.
const statusTime = 10 * time.Second

func (g *Globals) status(ctx context.Context, f statusFlags) error {
	s, err := g.Settings()
	if err != nil {
		return err
	}
	addresses := f.workers
	if len(addresses) == 0 {
		addresses = s.Workers
	}
	if !s.HasKafka() && len(addresses) == 0 {
		return errors.New("nothing to ask is known: name Kafka with --brokers, processes with --workers, or a context with both")
	}
	r := statusReport{Problems: []string{}, Groups: []groupReport{}, Workers: []processReport{}}
	asked := make(chan []processReport, 1)
	go func() { asked <- g.askProcesses(ctx, addresses) }()
	var kafkaErr error
	if s.HasKafka() {
		kafkaErr = g.askKafka(ctx, f, &r)
	}
	r.Workers = <-asked
	if kafkaErr != nil {
		r.noKafka(kafkaErr)
	}
	r.joinProcesses()
	r.judge(f)
	r.Well = len(r.Problems) == 0
	if err := g.showStatus(r, f); err != nil {
		return err
	}
	if !r.Well {
		return errPending
	}
	return nil
}

// askKafka fills in what Kafka knows.
func (g *Globals) askKafka(ctx context.Context, f statusFlags, r *statusReport) error {
	ctx, cancel := context.WithTimeout(ctx, statusTime)
	defer cancel()
	admin, _, err := g.Kafka(ctx)
	if err != nil {
		return err
	}
	defer admin.Close()
	groups, err := admin.Groups(ctx, topics.Groups(topics.All()))
	if err != nil {
		return err
	}
	for _, k := range groups {
		one := groupReport{Group: k.Name, State: groupState(k), Members: k.Members, Lag: k.Lag, WaitsFor: []string{}}
		if k.Err != nil {
			r.problem("%s: Kafka does not tell of the group: %v", k.Name, k.Err)
		}
		dead := topics.DeadLetterTopic(k.Name)
		n, last, err := admin.CountSince(ctx, dead, g.now().Add(-f.since), maxDeadLetters)
		if err != nil {
			r.problem("%s: the dead letters in %s cannot be counted: %v", k.Name, dead, err)
		}
		if one.DeadLetters = n; n > 0 {
			one.LastDead = &last
		}
		r.Groups = append(r.Groups, one)
	}
	return nil
}

// nobody is the state of a group that ran and has no members.
const nobody = "nobody runs it"

// groupState is a group's state in words.
func groupState(k kafkaadmin.Group) string {
	switch {
	case k.Err != nil:
		return "unknown"
	case k.State == "Stable":
		return "runs"
	case k.State == "Dead" && !k.Read:
		return "never ran"
	case k.State == "Dead", k.State == "Empty":
		return nobody
	case strings.HasSuffix(k.State, "Rebalance"):
		return "shares out its partitions"
	default:
		return k.State
	}
}

// joinProcesses says in each group's row what the processes say of it.
func (r *statusReport) joinProcesses() {
	for i := range r.Groups {
		row := &r.Groups[i]
		for _, p := range r.Workers {
			for _, w := range p.Groups {
				if w.Group != row.Group {
					continue
				}
				for _, text := range w.waits() {
					if !slices.Contains(row.WaitsFor, text) {
						row.WaitsFor = append(row.WaitsFor, text)
					}
				}
			}
		}
	}
}

// judge says what is unwell, and what to do next.
func (r *statusReport) judge(f statusFlags) {
	for _, row := range r.Groups {
		// The edge of external channels is in its group only while there are channels.
		if row.State == nobody && (row.Lag > 0 || row.Group != topics.FlowMapperChannels) {
			r.problem("%s: no process runs this group, %s: start its worker, or look why it stopped", row.Group, wait(row.Lag))
		}
		if row.Lag > f.maxLag {
			r.problem("%s: %s: more processes, or a look at what it waits for", row.Group, wait(row.Lag))
		}
		if row.DeadLetters > 0 {
			dead := topics.DeadLetterTopic(row.Group)
			r.problem("%s: %s dead letters since %s: fairlead tail %s --from start", row.Group, counted(row.DeadLetters), f.since, dead)
		}
	}
	for _, p := range r.Workers {
		switch {
		case p.Error != "":
			r.problem("process %s: %s: does it run, and is this its monitor.address?", p.Address, p.Error)
		case !p.Ready:
			r.problem("process %s (%s): %s", p.Address, strings.Join(p.Types, ","), listOr(p.Reasons, p.Phase))
		default: // what waits makes it unready
		}
	}
}

func wait(lag int64) string {
	if lag == 1 {
		return "1 record waits for it"
	}
	return fmt.Sprintf("%d records wait for it", lag)
}

func counted(n int) string {
	if n >= maxDeadLetters {
		return strconv.Itoa(n) + " or more"
	}
	return strconv.Itoa(n)
}

func (g *Globals) showStatus(r statusReport, f statusFlags) error {
	if g.Output == "json" {
		return g.printJSON(r)
	}
	rows := [][]string{}
	for _, x := range r.Groups {
		dead := counted(x.DeadLetters)
		if x.LastDead != nil {
			dead += ", last " + age(g.now().Sub(*x.LastDead)) + " ago"
		}
		rows = append(rows, []string{x.Group, x.State, strconv.Itoa(x.Members), strconv.FormatInt(x.Lag, 10), dead, strings.Join(x.WaitsFor, "; ")})
	}
	for _, p := range r.Workers {
		state := "ready: " + strings.Join(p.Types, ",")
		waits := strings.Join(p.Waiting, "; ")
		if spare := p.spares(); spare != "" {
			waits = strings.TrimPrefix(waits+"; "+spare, "; ")
		}
		switch {
		case p.Error != "":
			state, waits = "not reached", p.Error
		case !p.Ready:
			state = "not ready: " + strings.Join(p.Types, ",")
			waits = strings.Join(p.Reasons, "; ")
		}
		rows = append(rows, []string{"process " + p.Address, state, "", "", "", waits})
	}
	if len(rows) > 0 {
		if err := g.printTable([]string{"GROUP", "STATE", "MEMBERS", "LAG", "DEAD IN " + age(f.since), "WAITS FOR"}, rows); err != nil {
			return err
		}
	}
	if len(r.Workers) == 0 {
		fmt.Fprintln(g.Out, "\nno process was asked: --workers HOST:PORT,… or workers: in the context names them")
	}
	if r.Well {
		fmt.Fprintln(g.Out, "\n"+g.paint(green, "well"))
		return nil
	}
	fmt.Fprintln(g.Out, "\n"+g.paint(red, "unwell"))
	for _, p := range r.Problems {
		fmt.Fprintln(g.Out, "  "+strings.ReplaceAll(p, "\n", "\n      ")) // what, then why and what to do
	}
	return nil
}

// age is a length of time for people, in its two largest units at most.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		if m := int(d.Minutes()) % 60; m > 0 {
			return fmt.Sprintf("%dh%dm", int(d.Hours()), m)
		}
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}
