package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	"github.com/fairleadio/fairlead/topics"
)

func newTopicsApplyCommand(g *Globals) *cobra.Command {
	var w wantedFlags
	var guard guardFlags
	cmd := &cobra.Command{
		Use: "apply [PLANFILE]", Short: "Make the cluster's topics equal to the catalogue", Args: cobra.MaximumNArgs(1),
		Long: `Shows the plan, asks, and carries it out under a lock, so that only one runs at a time. With a plan file (of topics plan
--out) it does what that plan says and nothing else: it refuses when the cluster changed since. Interrupted, it can be
run again. Afterwards it publishes the message descriptors on topic fairlead.schemas. Nothing is deleted without --prune.

Exit code 0: done; 3: refused; with --dry-run as topics plan.`,
		Example: "  fairlead topics apply --profile dev --yes\n  fairlead topics apply plan.json --cluster-id 5L6g3nShT-eMCtK--X86sw",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := g.Context(cmd)
			defer cancel()
			job := &applyJob{g: g, w: w, guard: guard}
			if len(args) == 1 {
				if err := job.fromFile(cmd, args[0]); err != nil {
					return err
				}
			}
			return job.run(ctx)
		},
	}
	w.add(cmd.Flags())
	guard.add(cmd.Flags())
	cmd.Flags().BoolVar(&w.prune, "prune", false, "also delete topics under the prefix that the catalogue does not know")
	return cmd
}

// applyJob is one run of topics apply.
type applyJob struct {
	g     *Globals
	w     wantedFlags
	guard guardFlags
	// file is the plan of a plan file, nil without one.
	file *topics.Plan

	admin    *kafkaadmin.Admin
	settings Settings
	result   applyResult
}

// applyResult is the JSON of topics apply.
type applyResult struct {
	OperationID string          `json:"operation_id"`
	ClusterID   string          `json:"cluster_id"`
	Applied     []topics.Change `json:"applied"`
	// Schemas are the messages whose descriptors were published.
	Schemas []string `json:"schemas"`
}

func (j *applyJob) fromFile(cmd *cobra.Command, name string) error {
	for _, f := range []string{"profile", "overrides", "prune"} {
		if cmd.Flags().Changed(f) {
			return fmt.Errorf("--%s and a plan file: the plan says it already", f)
		}
	}
	p, err := j.g.readPlan(name)
	if err != nil {
		return err
	}
	j.file = &p
	return nil
}

// now makes a plan for the cluster as it is.
func (j *applyJob) now(ctx context.Context) (topics.Plan, error) {
	if j.file == nil {
		return j.g.planOn(ctx, j.admin, j.settings, j.w, j.guard)
	}
	cluster, err := j.admin.Cluster(ctx)
	if err != nil {
		return topics.Plan{}, err
	}
	if err := j.guard.check(j.settings, cluster.ID); err != nil {
		return topics.Plan{}, err
	}
	return newPlan(ctx, j.admin, j.file.Profile, j.file.Overrides, j.file.Prune, cluster)
}

func (j *applyJob) run(ctx context.Context) error {
	var err error
	if j.admin, j.settings, err = j.g.Kafka(ctx); err != nil {
		return err
	}
	defer j.admin.Close()
	shown, err := j.now(ctx)
	if err != nil {
		return err
	}
	if j.file != nil {
		if shown.Changes, err = j.file.Resume(shown); err != nil {
			return refused("%w", err)
		}
	}
	j.result = applyResult{ClusterID: shown.ClusterID, Applied: []topics.Change{}, Schemas: []string{}, OperationID: operationID(shown, j.g.now())}
	if j.g.DryRun() || len(shown.Refusals) > 0 || j.g.Output == "text" {
		if err := j.g.showPlan(shown); err != nil {
			return err
		}
	}
	if j.g.DryRun() || len(shown.Refusals) > 0 {
		return planOutcome(shown)
	}
	if !shown.Pending() {
		return j.report()
	}
	if j.g.Output != "text" && j.g.Interactive {
		fmt.Fprint(j.g.Err, j.g.planText(shown))
	}
	if err := j.g.Confirm(fmt.Sprintf("apply this to cluster %s?", shown.ClusterID)); err != nil {
		return err
	}
	if err := j.carryOut(ctx, shown); err != nil {
		return err
	}
	return j.report()
}

// carryOut does what was shown, under the lock.
func (j *applyJob) carryOut(ctx context.Context, shown topics.Plan) error {
	// The lock is a record of the audit topic, so that topic comes first. Making it twice is not possible.
	for _, c := range shown.Changes {
		if c.Kind == topics.Create && c.Topic == topics.Audit {
			if err := j.step(ctx, kafkaadmin.Step{Topic: c.Topic, Changes: []topics.Change{c}}); err != nil {
				return err
			}
		}
	}
	lock, err := j.admin.Lock(ctx, j.g.by())
	if err != nil {
		var locked *kafkaadmin.LockedError
		if errors.As(err, &locked) {
			return refused("%w", err)
		}
		return err
	}
	err = j.locked(ctx, lock, shown)
	// The lock is given back even when the command's time is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	released := lock.Release(ctx)
	if errors.Is(err, kafkaadmin.ErrLockLost) {
		return refused("%w", err)
	}
	return errors.Join(err, released)
}

const releaseTimeout = 10 * time.Second

func (j *applyJob) locked(ctx context.Context, lock *kafkaadmin.Lock, shown topics.Plan) (err error) {
	now, err := j.now(ctx)
	if err != nil {
		return err
	}
	rest, err := shown.Resume(now)
	if err != nil {
		return refused("%w", err)
	}
	if err := j.audit(ctx, auditv1.Outcome_OUTCOME_STARTED, rest, ""); err != nil {
		return err
	}
	err = j.steps(ctx, lock, rest)
	if err == nil {
		if err = lock.Hold(ctx); err == nil {
			j.result.Schemas, err = j.publish(ctx)
		}
	}
	outcome, detail := auditv1.Outcome_OUTCOME_DONE, ""
	if err != nil {
		outcome, detail = auditv1.Outcome_OUTCOME_FAILED, err.Error()
	}
	// What was done is written down even when the command's time is over.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	return errors.Join(err, j.audit(ctx, outcome, j.result.Applied, detail))
}

func (j *applyJob) steps(ctx context.Context, lock *kafkaadmin.Lock, changes []topics.Change) error {
	for _, s := range kafkaadmin.Steps(changes) {
		if err := lock.Hold(ctx); err != nil {
			return err
		}
		if err := j.step(ctx, s); err != nil {
			return fmt.Errorf("%w (%s done before; run it again to go on)", err, plural(len(j.result.Applied), "change"))
		}
	}
	return nil
}

func (j *applyJob) step(ctx context.Context, s kafkaadmin.Step) error {
	if err := j.admin.Do(ctx, s); err != nil {
		return err
	}
	for _, c := range s.Changes {
		j.result.Applied = append(j.result.Applied, c)
		if j.g.Output == "text" {
			if _, err := fmt.Fprintln(j.g.Out, "done: "+c.String()); err != nil {
				return fmt.Errorf("write the output: %w", err)
			}
		}
	}
	return nil
}

func (j *applyJob) publish(ctx context.Context) ([]string, error) {
	names, err := j.admin.PublishSchemas(ctx)
	if names == nil {
		names = []string{}
	}
	if err != nil {
		return names, fmt.Errorf("publish the message descriptors: %w", err)
	}
	return names, nil
}

func (j *applyJob) audit(ctx context.Context, outcome auditv1.Outcome, changes []topics.Change, detail string) error {
	e := &auditv1.Entry{
		Action: "topics.apply", Entity: "cluster/" + j.result.ClusterID, Outcome: outcome, Detail: detail,
		OperationId: j.result.OperationID, ClusterId: j.result.ClusterID,
	}
	for _, c := range changes {
		e.Changes = append(e.Changes, c.String())
	}
	return j.g.audit(ctx, j.admin, e)
}

func (j *applyJob) report() error {
	if j.g.Output == "json" {
		return j.g.printJSON(j.result)
	}
	if len(j.result.Applied)+len(j.result.Schemas) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(j.g.Out, "%s, %s published (operation %s)\n",
		plural(len(j.result.Applied), "change"), plural(len(j.result.Schemas), "message descriptor"), j.result.OperationID)
	return err
}

// operationID joins the audit entries of one run.
func operationID(p topics.Plan, now time.Time) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%d\n", p.ClusterID, p.Prefix, now.UnixNano())
	for _, c := range p.Changes {
		fmt.Fprintln(h, c)
	}
	return hex.EncodeToString(h.Sum(nil)[:6])
}
