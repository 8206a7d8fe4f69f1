package finality

import (
	"time"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/vault"
)

// Repaired is what [Repair] did.
type Repaired struct {
	// Verified and Invalid are transactions that were finished, by their ids.
	Verified []string `json:"verified"`
	Invalid  []string `json:"invalid"`
	// Why is the reason of each of Invalid.
	Why map[string]string `json:"why"`
	// Open are those of which nothing is known yet, with the reason; they are tried again the next time.
	Open map[string]string `json:"open"`
	// Younger are those that are left alone because they may be under way, with when a repair takes them. [Repair] does not fill
	// it: whoever chooses until may.
	Younger map[string]string `json:"younger"`
}

// Repair finishes transactions that are unverified and were first stored at from or later, and before until: at most limit,
// those first that were tried least often. It asks each one's notary what it has decided, without having it decide, and
// stores the transaction as verified, or as invalid when it was refused or its time window has passed. When it was accepted
// and signatures are missing here, those who must sign are asked for them ([Register]). What still lacks one stays open, and
// is counted as tried, like what nothing is known of.
//
// Until should be some minutes ago, so that transactions that are being finalised are left alone; to look at them does no
// harm.
func Repair(ctx *flow.Context, from, until time.Time, limit int) (Repaired, error) {
	return Options{}.Repair(ctx, from, until, limit)
}

// Repair is [Repair] with options.
func (o Options) Repair(ctx *flow.Context, from, until time.Time, limit int) (Repaired, error) {
	out := Repaired{Verified: []string{}, Invalid: []string{}, Why: map[string]string{}, Open: map[string]string{}}
	known, err := vault.OfStatus(ctx, vault.Unverified, from, until, limit)
	if err != nil {
		return out, err
	}
	for _, k := range known {
		found, err := vault.Find(ctx, k.ID, vault.Unverified)
		if err != nil {
			return out, err
		}
		if found.Transaction == nil {
			continue // it was finished meanwhile
		}
		v := verdict{tx: found.Transaction, signing: newSigning(ctx, found.Transaction)}
		if v.store = v.signing.keep(found.Signatures); v.store == nil {
			v.settle(ctx, o)
		}
		id := k.ID.String()
		switch {
		case v.store != nil:
			out.Open[id] = v.store.Error()
		case v.status == vault.Verified:
			out.Verified = append(out.Verified, id)
		case v.status == vault.Invalid:
			out.Invalid = append(out.Invalid, id)
			out.Why[id] = v.reason.Error()
		default:
			out.Open[id] = v.reason.Error()
		}
		if reason, open := out.Open[id]; open {
			ctx.Log().Info("a transaction stays unverified", "transaction", id, "reason", reason)
			if _, err := vault.CountRepair(ctx, k.ID); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// keep takes those signatures of a vault that are signatories' and right; the notary's may be among them.
func (s *signing) keep(signatures []ledger.Signature) error {
	checked, err := vault.CheckSignatures(s.ctx, claims(s.tx.ID(), signatures...)...)
	if err != nil {
		return err
	}
	for _, sig := range signatures {
		_, _ = s.addChecked("the vault", []ledger.Signature{sig}, checked.Verify) // what is not a signatory's is passed over
	}
	return nil
}
