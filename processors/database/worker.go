package database

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/lovoo/goka"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/seal"
	"github.com/fairleadio/fairlead/internal/sections"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/topics"
)

// Deps is what the worker needs of the process around it.
type Deps struct {
	// Cluster is the pool of the cluster's database, with [clusterdb.Schema] as search path; Vaults that of the database
	// of virtual nodes, as a role that may make schemas and roles.
	Cluster, Vaults *postgres.Pool
	// Key seals secrets.
	Key *seal.Key
	// Packages opens package files.
	Packages Packages
	// Published are views of the topics of [Facts], ready; without them nothing is reconciled.
	Published map[string]View
	// Ask sends a request to db.requests under a key; for the reconciler.
	Ask func(ctx context.Context, key string, m *dbv1.Request) error
	// Admin is the first administrator; the zero value makes none.
	Admin Admin
	// Log receives what an operator should see. Default: slog.Default().
	Log *slog.Logger
	// Between, when set, is called at points between the two commits, by name; an error stops the worker there. For
	// tests of crashes.
	Between func(point string) error
}

// Worker is the database worker of a process.
type Worker struct {
	cfg    Config
	deps   Deps
	gate   *gate
	jobs   *jobs
	checks *jobs           // what requests look at in databases of virtual nodes
	waits  sync.Map        // by id of an operation that waits for a turn, when that was logged
	vaults *vaultdb.Vaults // set before the gate opens
}

// NewWorker makes a worker. Without dependencies it can only describe its [Worker.Graph].
func NewWorker(cfg Config, deps Deps) (*Worker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	if deps.Log == nil {
		deps.Log = slog.Default()
	}
	return &Worker{cfg: cfg, deps: deps, gate: newGate(), jobs: newJobs(cfg.Jobs), checks: newJobs(cfg.Jobs)}, nil
}

// Bind hands over the engine that runs [Worker.Graph], before it runs: it is paused while Postgres is away.
func (w *Worker) Bind(e Pauser) { w.gate.bind(e) }

// Close ends the jobs and waits for them. The group and [Worker.Run] must have ended.
func (w *Worker) Close() {
	w.checks.close()
	w.jobs.close()
}

// nobodyWaits tells whether a request needs no memory of its answer: it changes nothing.
func nobodyWaits(r *dbv1.Request) bool {
	switch r.GetOperation().(type) {
	case *dbv1.Request_Republish, *dbv1.Request_ListCertificates, *dbv1.Request_GetCertificate, *dbv1.Request_SchemaSql:
		return true
	default:
		return false
	}
}

func operationName(r *dbv1.Request) string {
	f := r.ProtoReflect().WhichOneof(r.ProtoReflect().Descriptor().Oneofs().ByName("operation"))
	if f == nil {
		return "none"
	}
	return string(f.Name())
}

// replyAddress reads header fl-reply and refuses topics that the catalogue does not list.
func replyAddress(ctx engine.Context) (string, error) {
	to := ctx.Header(engine.HeaderReply)
	if to == "" {
		return "", nil
	}
	topic, _, _, err := engine.ParseReplyTo(to)
	if err != nil {
		return "", engine.Poison("%s: %w", ErrReplyTopic, err)
	}
	asked := string(ctx.Topic())
	row, _ := topics.Find(asked)
	if !slices.Contains(row.Replies, topic) {
		return "", engine.Poison("%s: the reply to a request on %s would go to topic %q; allowed are %s", ErrReplyTopic, asked, topic, strings.Join(row.Replies, ", "))
	}
	return to, nil
}

// expired tells whether the requester has given up.
func expired(ctx engine.Context) bool {
	us, err := strconv.ParseInt(ctx.Header(engine.HeaderDeadline), 10, 64)
	return err == nil && us > 0 && us < ctx.Now().UnixMicro()
}

func (w *Worker) onRequest(ctx engine.Context, m *dbv1.Request) error {
	to, err := replyAddress(ctx)
	if err != nil {
		return err
	}
	name := operationName(m)
	if expired(ctx) {
		w.checks.taken(ctx.Header(engine.HeaderRequest))
		w.cfg.Metrics.request(name, "expired")
		return nil
	}
	if err := w.gate.closed(); err != nil {
		return engine.Retry(w.cfg.JobPoll, err)
	}
	e := Asked{Key: ctx.Key(), ID: ctx.Header(engine.HeaderRequest), Reply: to, Request: m, NowUs: ctx.Now().UnixMicro()}
	if e.ID == "" { // its place is its name
		cause := ctx.Cause()
		e.ID = fmt.Sprintf("%x/%d/%d", ctx.TopicID(), cause.Partition, cause.Offset)
	}
	reply, records, outcome, err := w.ask(ctx.Context(), e)
	if err != nil {
		return w.later(err)
	}
	w.cfg.Metrics.request(name, outcome)
	if err := w.between("request " + name); err != nil {
		return err
	}
	if reply != nil && to != "" {
		send(ctx, to, e.ID, reply)
	}
	emit(ctx, records)
	return nil
}

// ask takes a request in one transaction and returns the answer and what is told.
func (w *Worker) ask(ctx context.Context, e Asked) (reply *rpcv1.Reply, records []emission, outcome string, err error) {
	if p := e.Request.GetPutConfig(); p != nil {
		e.Config, e.ConfigErr = sections.Check(p.GetSection(), p.GetConfig())
		if which := (*sections.Error)(nil); e.ConfigErr != nil && !errors.As(e.ConfigErr, &which) {
			return nil, nil, "", e.ConfigErr
		}
	}
	if e.Connections, err = w.connectionsOf(ctx, &e); err != nil {
		return nil, nil, "", err
	}
	var pending []string
	if p := e.Request.GetSetVirtualNodeState(); p.GetState() == vnodev1.OperationalStatus_OPERATIONAL_STATUS_ACTIVE {
		// Its database may be one that does not answer, and nobody else's record may wait for it.
		check, done := w.checks.do(ctx, e.ID, w.cfg.JobWait, func(ctx context.Context) Result {
			pending, err := w.pendingOf(ctx, p.GetShortHash())
			return Result{Pending: pending, Err: err}
		})
		if !done {
			return nil, nil, "", errBusy
		}
		w.checks.taken(e.ID)
		if pending, err = check.Pending, check.Err; err != nil {
			return nil, nil, "", err
		}
	}
	err = w.inTx(ctx, func(ctx context.Context, tx *postgres.Tx) (err error) {
		var out []clusterdb.Outbound
		if reply, out, err = clusterdb.Request(ctx, tx, e.ID); err != nil {
			return err
		}
		outcome = "repeated"
		if reply == nil {
			var done Outcome
			if done, err = w.decide(ctx, tx, e, pending); err != nil {
				return err
			}
			reply, out = done.Reply, done.Out
			outcome = "done"
			if reply.GetError() != nil {
				outcome = "refused"
			}
		}
		records, err = render(ctx, tx, out)
		return err
	})
	return reply, records, outcome, err
}

// decide loads, steps and writes a request that is new.
func (w *Worker) decide(ctx context.Context, tx *postgres.Tx, e Asked, pending []string) (Outcome, error) {
	s, err := load(ctx, tx, e)
	var r *refusal
	if errors.As(err, &r) {
		return Outcome{Reply: r.reply()}, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	s.Pending = pending
	o, err := Step(s, e)
	if err != nil {
		return o, err
	}
	if err := w.apply(ctx, tx, o, e.NowUs); err != nil {
		return o, err
	}
	if nobodyWaits(e.Request) {
		return o, nil
	}
	remembered := o.Reply
	if remembered == nil {
		remembered = &rpcv1.Reply{} // the answer comes with the operation's end
	}
	return o, clusterdb.PutRequest(ctx, tx, e.ID, e.Key, remembered, o.Out)
}

func (w *Worker) inTx(ctx context.Context, f func(ctx context.Context, tx *postgres.Tx) error) error {
	return w.deps.Cluster.InTx(ctx, postgres.TxOptions{Timeout: w.cfg.TransactionTimeout}, f)
}

// later makes of an error what the engine does about it. A record is retried as long as Postgres is away.
func (w *Worker) later(err error) error {
	switch class := postgres.ClassOf(err); {
	case class == postgres.Unavailable:
		w.gate.shut(err)
		return engine.Retry(w.cfg.JobPoll, err)
	case class == postgres.Retry, class == postgres.Timeout, postgres.Breaks(err, "request_pkey"), errors.Is(err, context.Canceled), errors.Is(err, errBusy):
		// Not the engine's back-off: an outage may have made many attempts of it.
		return engine.Retry(w.cfg.JobPoll, err)
	default:
		return err // the engine dead-letters it
	}
}

// between is where tests crash the worker: the database has the change, Kafka has not.
func (w *Worker) between(point string) error {
	if w.deps.Between == nil {
		return nil
	}
	if err := w.deps.Between(point); err != nil {
		return engine.Fatal(err)
	}
	return nil
}

// send answers a request.
func send(ctx engine.Context, to, id string, reply *rpcv1.Reply) {
	topic, partition, key, err := engine.ParseReplyTo(to)
	if err != nil {
		return // it was read before
	}
	options := []goka.ContextOption{engine.WithHeaders(goka.Headers{engine.HeaderRequest: []byte(id)})}
	if partition >= 0 {
		options = append(options, engine.ToPartition(partition))
	}
	ctx.Emit(goka.Stream(topic), key, reply, options...)
}

// emit writes what follows a transaction.
func emit(ctx engine.Context, records []emission) {
	for _, r := range records {
		switch {
		case r.kind == clusterdb.Continue:
			ctx.Loopback(r.key, r.msg)
		case r.kind == clusterdb.Republish:
			ctx.Emit(topics.DbRequests, r.key, r.msg)
		case r.msg == nil:
			ctx.Emit(goka.Stream(r.topic), r.key, nil)
		default:
			ctx.Emit(goka.Stream(r.topic), r.key, r.msg)
		}
	}
}

// onDeadLetter tells whoever waits that the record went to the dead letters.
func (w *Worker) onDeadLetter(ctx engine.Context, msg any, _ string, cause error) error {
	w.deps.Log.Error("a record went to the dead letters", "id", ErrInternal, "key", ctx.Key(), "place", ctx.Cause().String(), "error", cause)
	switch msg.(type) {
	case *dbv1.Request, *dbv1.PackageRequest:
	default:
		return nil
	}
	to, err := replyAddress(ctx)
	if to == "" || err != nil {
		return nil //nolint:nilerr // there is nobody who may be told
	}
	send(ctx, to, ctx.Header(engine.HeaderRequest), internalReply(cause))
	return nil
}
