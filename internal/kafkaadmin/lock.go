package kafkaadmin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/fairleadio/fairlead/schemas"
	auditv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/audit/v1"
	"github.com/fairleadio/fairlead/topics"
)

const (
	// lockName is the transactional id of the lock, behind the prefix.
	lockName = "topics-apply"
	// lockTimeout is how long the lock of a dead process is held.
	lockTimeout = time.Minute
	// lockRenew is when a living process begins a new transaction.
	lockRenew = lockTimeout / 3
)

// LockedError tells that somebody else is applying a plan.
type LockedError struct {
	// Since is when the holder began or last renewed, Until when the broker takes the lock from a holder that died.
	Since, Until time.Time
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("another fairlead topics apply is under way since %s: wait for it; if it died, its lock ends by %s",
		e.Since.UTC().Format(time.RFC3339), e.Until.UTC().Format(time.RFC3339))
}

// ErrLockLost tells that the lock was taken by somebody else: nothing more may be changed.
var ErrLockLost = errors.New("the lock was taken by another fairlead topics apply: nothing more was changed; run it again")

// Lock lets one process at a time change the cluster. It is an open Kafka transaction of a fixed transactional id that
// holds one record for the audit topic and is always aborted, so nobody sees the record: a broker ends it when the
// holder dies, and fences a holder that was too slow.
type Lock struct {
	client *kgo.Client
	record func() *kgo.Record
	began  time.Time
}

// Lock takes the lock, or returns a [LockedError]. The audit topic must exist.
func (a *Admin) Lock(ctx context.Context, by string) (*Lock, error) {
	id := a.prefix + lockName
	described, err := a.adm.DescribeTransactions(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("look whether somebody holds the lock: %w", err)
	}
	d, err := described.On(id, nil)
	switch {
	case errors.Is(err, kerr.TransactionalIDNotFound) || errors.Is(d.Err, kerr.TransactionalIDNotFound):
	case err != nil:
		return nil, fmt.Errorf("look whether somebody holds the lock: %w", err)
	case d.Err != nil:
		return nil, fmt.Errorf("look whether somebody holds the lock: %w", d.Err)
	case d.State == "Ongoing":
		since := time.UnixMilli(d.StartTimestamp)
		return nil, &LockedError{Since: since, Until: since.Add(time.Duration(d.TimeoutMillis) * time.Millisecond)}
	}
	value, err := schemas.Marshal(&auditv1.Entry{By: by, Action: "topics.lock", Entity: "lock/" + lockName})
	if err != nil {
		return nil, err
	}
	opts := append(append([]kgo.Opt{}, a.opts...), kgo.TransactionalID(id), kgo.TransactionTimeout(lockTimeout))
	client, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("make the lock's Kafka client: %w", err)
	}
	l := &Lock{client: client, record: func() *kgo.Record {
		return &kgo.Record{Topic: a.prefix + topics.Audit, Key: []byte("lock/" + lockName), Value: value, Headers: typeHeader(&auditv1.Entry{})}
	}}
	if err := l.begin(ctx); err != nil {
		client.Close()
		return nil, fmt.Errorf("take the lock: %w", err)
	}
	return l, nil
}

func (l *Lock) begin(ctx context.Context) error {
	if err := l.client.BeginTransaction(); err != nil {
		return fmt.Errorf("begin the lock's transaction: %w", err)
	}
	l.began = time.Now()
	return l.touch(ctx)
}

func (l *Lock) touch(ctx context.Context) error {
	if err := l.client.ProduceSync(ctx, l.record()).FirstErr(); err != nil {
		return fmt.Errorf("write the lock's record: %w", err)
	}
	return nil
}

// Hold proves that the lock is still held, and renews it when it is a third of its time old. Call it before each
// change. When somebody else has it, the error is [ErrLockLost].
func (l *Lock) Hold(ctx context.Context) error {
	err := l.hold(ctx)
	if errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.TransactionAbortable) ||
		errors.Is(err, kerr.InvalidTxnState) || errors.Is(err, kerr.InvalidProducerIDMapping) {
		return ErrLockLost
	}
	return err
}

func (l *Lock) hold(ctx context.Context) error {
	if time.Since(l.began) < lockRenew {
		return l.touch(ctx)
	}
	if err := l.client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("renew the lock: %w", err)
	}
	return l.begin(ctx)
}

// Release gives the lock back. It is safe after a lost lock.
func (l *Lock) Release(ctx context.Context) error {
	defer l.client.Close()
	if err := l.client.EndTransaction(ctx, kgo.TryAbort); err != nil {
		return fmt.Errorf("give the lock back (it ends by itself within %s): %w", lockTimeout, err)
	}
	return nil
}
