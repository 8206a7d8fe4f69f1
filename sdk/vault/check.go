package vault

import (
	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/internal/wire"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Claim says that a signature is one of a transaction.
type Claim struct {
	Transaction ledger.Hash
	Signature   ledger.Signature
}

// Checked has what the platform found of signatures. What it was not asked of, it checks itself; so does its zero value, and
// so does a nil one.
type Checked struct {
	verdicts map[string]error
}

// mostChecks is how many signatures are checked with one request, mostBytes how long they may be together: the platform takes no
// more than 256, and 512 KiB.
const (
	mostChecks = 200
	mostBytes  = 400 << 10
)

// CheckSignatures has the platform check signatures: a flow's own code takes milliseconds for one by a P-256 key, and the
// platform a twentieth of that. What comes after a wrong one may not be checked: [Checked.Verify] does that then. The error is
// that of the request alone.
func CheckSignatures(ctx *flow.Context, claims ...Claim) (*Checked, error) {
	out := &Checked{verdicts: map[string]error{}}
	var names []string
	var checks []wire.SignatureCheck
	var sizes []int
	asked := map[string]bool{}
	for _, c := range claims {
		k, err := c.Signature.Check(c.Transaction)
		if err != nil {
			continue // which is found again without the platform
		}
		if sizeOf(k) > mostBytes {
			continue // no key and signature are so long: it is refused when it is looked at
		}
		if name := nameOf(k); !asked[name] {
			asked[name] = true
			names, checks, sizes = append(names, name), append(checks, wire.SignatureCheck{PublicKey: k.By, Scheme: k.Scheme, Message: k.Message, Signature: k.Bytes}), append(sizes, sizeOf(k))
		}
	}
	for len(checks) > 0 {
		n, bytes := 0, 0
		for n < min(mostChecks, len(checks)) && bytes+sizes[n] <= mostBytes {
			bytes += sizes[n]
			n++
		}
		verdicts, err := do(ctx, checkCall(checks[:n]))
		if err != nil {
			return nil, err
		}
		for i, v := range verdicts {
			if out.verdicts[names[i]] = v; v != nil {
				return out, nil //nolint:nilerr // a verdict; one is enough to refuse all
			}
		}
		checks, names, sizes = checks[n:], names[n:], sizes[n:]
	}
	return out, nil
}

func checkCall(checks []wire.SignatureCheck) *flow.Pending[[]error] {
	return flow.NewCall(&wire.CheckSignatures{Checks: checks}, func(result []byte) ([]error, error) {
		var r wire.CheckedSignatures
		if err := receive(result, &r); err != nil {
			return nil, err
		}
		if len(r.Verdicts) != len(checks) {
			return nil, flow.Errorf("protocol", "the platform gave %d verdicts on %d signatures", len(r.Verdicts), len(checks))
		}
		out := make([]error, len(checks))
		for i, v := range r.Verdicts {
			switch v {
			case wire.SignatureValid:
			case wire.SignatureInvalid:
				out[i] = ledger.ErrInvalid
			case wire.SignatureUnsupported:
				out[i] = ledger.ErrUnsupported
			default:
				return nil, flow.Errorf("protocol", "the platform's verdict %d on a signature is not known here", v)
			}
		}
		return out, nil
	})
}

// Verify is ledger.Signature.Verify, of what the platform has found where it was asked.
func (c *Checked) Verify(s ledger.Signature, id ledger.Hash) error {
	k, err := s.Check(id)
	if err != nil {
		return err
	}
	if c != nil {
		if verdict, asked := c.verdicts[nameOf(k)]; asked {
			return s.Judged(id, verdict)
		}
	}
	return s.Judged(id, k.Verify())
}

// sizeOf is how long a check is in a request, about.
func sizeOf(k ledger.Check) int {
	return len(k.By) + len(k.Scheme) + len(k.Message) + len(k.Bytes) + 32
}

// nameOf tells a check from every other: each part, with its length before it.
func nameOf(k ledger.Check) string {
	m := wire.SignatureCheck{PublicKey: k.By, Scheme: k.Scheme, Message: k.Message, Signature: k.Bytes}
	return string(wire.Encode(&m))
}
