package crypto

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/engine"
	"github.com/fairleadio/fairlead/internal/signing"
	"github.com/fairleadio/fairlead/internal/vault"
)

// Vault is what the worker needs of it; *vault.Client is one.
type Vault interface {
	CreateKey(ctx context.Context, name string, t vault.KeyType) (vault.Key, error)
	Sign(ctx context.Context, name string, alg vault.Algorithm, messages [][]byte) ([][]byte, error)
	Decrypt(ctx context.Context, name string, ciphertext []byte) ([]byte, error)
	// Check finds out whether Vault can serve at all.
	Check(ctx context.Context) error
}

// Limits of one request for signatures. RSA takes Vault some ten milliseconds each, so a batch is smaller.
const (
	maxBatch    = vault.MaxBatch
	maxBatchRSA = 32
)

// job is one request to Vault, for the turns that wait for its answer.
type job struct {
	turns []*turn
	run   func(ctx context.Context) error // sets the event of each turn
}

// askVault asks for what the turns need, the signatures of one key and scheme together, and sets each turn's event, or
// its error: to be run again while Vault is away.
func (w *Worker) askVault(ctx context.Context, turns []*turn) {
	var wg sync.WaitGroup
	for _, j := range w.jobs(turns) {
		if !w.take(ctx) {
			w.settle(ctx, j, ctx.Err())
			continue
		}
		wg.Go(func() {
			defer func() { <-w.slots }()
			w.settle(ctx, j, w.attempt(ctx, j))
		})
	}
	wg.Wait()
}

// take waits for a slot.
func (w *Worker) take(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	select {
	case w.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (w *Worker) attempt(ctx context.Context, j *job) error {
	if w.deps.Vault == nil {
		return errNoVault
	}
	if err := w.health.reason(); err != nil {
		return &awayError{err} // nobody is asked who is known to be away
	}
	err := j.run(ctx)
	if vault.KindOf(err) == vault.Denied && w.deps.Vault.Check(ctx) == nil {
		// The policy allows such requests: by now, if it was mended in between, so ask again; or not with this key.
		if err = j.run(ctx); vault.KindOf(err) == vault.Denied && w.deps.Vault.Check(ctx) == nil {
			err = &vault.Error{Kind: vault.Permanent, Doing: "use this key", Err: err}
		}
	}
	return err
}

// awayError is the answer for a Vault that was not asked, because it is known to be away.
type awayError struct{ reason error }

func (e *awayError) Error() string { return e.reason.Error() }
func (e *awayError) Unwrap() error { return e.reason }

// jobs makes requests to Vault of what turns need.
func (w *Worker) jobs(turns []*turn) []*job {
	type lane struct{ name, scheme string }
	var out []*job
	open := map[lane]*lot{}
	for _, t := range turns {
		if t.err != nil || t.need == nil {
			continue
		}
		switch need := t.need.(type) {
		case MakeKey:
			out = append(out, &job{[]*turn{t}, func(ctx context.Context) error { return w.makeKey(ctx, t, need) }})
		case OpenEnvelope:
			out = append(out, &job{[]*turn{t}, func(ctx context.Context) error { return w.openEnvelope(ctx, t, need) }})
		case MakeSignatures:
			at := lane{need.Key.GetVaultName(), need.Scheme}
			s := open[at]
			if s == nil || !s.fits(need) {
				s = &lot{worker: w, name: at.name, scheme: at.scheme}
				open[at] = s
				s.job = &job{run: s.run}
				out = append(out, s.job)
			}
			s.add(t, need)
		}
	}
	return out
}

func (w *Worker) makeKey(ctx context.Context, t *turn, need MakeKey) error {
	key, err := w.making.key(ctx, w.deps.Vault, need.VaultName, vaultType(need.Scheme))
	if err != nil {
		return err
	}
	t.event = KeyMade{Ask: t.ask, Made: need, Type: string(key.Type), PublicKey: key.PublicKey, Weakness: key.Weakness}
	return nil
}

func (w *Worker) openEnvelope(ctx context.Context, t *turn, need OpenEnvelope) error {
	secret, err := w.deps.Vault.Decrypt(ctx, need.Key.GetVaultName(), need.Sealed)
	if err != nil {
		return err
	}
	t.event = EnvelopeOpened{Ask: t.ask, Secret: secret}
	return nil
}

// lot collects signatures of one key and scheme.
type lot struct {
	worker       *Worker
	name, scheme string
	job          *job
	messages     [][]byte
	bytes        int
}

func size(messages [][]byte) (n int) {
	for _, m := range messages {
		n += len(m)
	}
	return n
}

func (s *lot) fits(need MakeSignatures) bool {
	most := maxBatch
	if need.Key.GetScheme() == signing.RSA {
		most = maxBatchRSA
	}
	return len(s.messages)+len(need.Messages) <= most && s.bytes+size(need.Messages) <= vault.MaxBatchBytes
}

func (s *lot) add(t *turn, need MakeSignatures) {
	s.job.turns = append(s.job.turns, t)
	s.messages = append(s.messages, need.Messages...)
	s.bytes += size(need.Messages)
}

func (s *lot) run(ctx context.Context) error {
	s.worker.deps.Metrics.signatures(len(s.messages))
	signed, err := s.worker.deps.Vault.Sign(ctx, s.name, algorithm(s.scheme), s.messages)
	if err != nil {
		return err
	}
	for _, t := range s.job.turns {
		need := t.need.(MakeSignatures)
		n := len(need.Messages)
		t.event = SignaturesMade{Ask: t.ask, Made: need, Signatures: signed[:n]}
		signed = signed[n:]
	}
	return nil
}

// settle gives the turns of a job the event or the error that an answer means.
func (w *Worker) settle(ctx context.Context, j *job, err error) {
	away := (*awayError)(nil)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		// The poll's time is over, which says nothing of Vault. What was signed meanwhile is done.
		w.again(j, engine.Retry(pollWait, errors.New("the time of the poll was over before Vault was asked, or answered")))
	case errors.Is(err, errNoVault):
		w.again(j, engine.Fatal(err))
	case errors.As(err, &away):
		w.again(j, engine.Retry(w.health.later(), err))
	case vault.KindOf(err).Waits():
		w.again(j, engine.Retry(w.health.fail(err), err))
	default:
		w.refused(j, err)
	}
}

// pollWait is how long what did not fit into a poll's time waits.
const pollWait = 10 * time.Millisecond

func (w *Worker) again(j *job, err error) {
	for _, t := range j.turns {
		t.err = err
	}
}

func (w *Worker) refused(j *job, err error) {
	for _, t := range j.turns {
		t.event = VaultRefused{Ask: t.ask, Reason: err.Error()}
	}
}
