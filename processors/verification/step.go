package verification

import (
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/engine"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/sdk/contract"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/sdk/ledger/structure"
	"github.com/fairleadio/fairlead/topics"
)

// clockSkewUs is how far the requester's clock may be ahead, microseconds.
const clockSkewUs = 1_000_000

// Step decides what one event does. It is pure: same arguments, same result.
func Step(s State, event Event) ([]Effect, error) {
	switch e := event.(type) {
	case Asked:
		return asked(s, e.Ask)
	case Ran:
		return ran(s, e)
	default:
		return nil, engine.Poison("verification: no rule for %T", event)
	}
}

// asked decides on a request: first whether it can be right at all, then by the rules of the ledger.
func asked(s State, a Ask) ([]Effect, error) {
	if a.DeadlineUs > 0 && a.NowUs > a.DeadlineUs {
		return []Effect{Note{Expired}}, nil
	}
	tx, sources, err := decode(a)
	if err != nil {
		return nil, err
	}
	resolved, err := ledger.Resolve(tx, sources...)
	if err != nil {
		return respondError(idUnresolved, rpcv1.ErrorKind_ERROR_KIND_INVALID, TypeUnresolved, Refused,
			"transaction %s: %s: show the outputs that it consumes and looks at", tx.ID(), err), nil
	}
	var failures []*appv1.VerificationFailure
	for _, f := range structure.Check(structure.Of(resolved)) {
		failures = append(failures, &appv1.VerificationFailure{Component: f.Component, Message: f.Message})
	}
	switch {
	case len(failures) > 0:
		return respond(verdict(failures)), nil
	case s.Remembered != nil:
		return append(respond(s.Remembered), Recalled{}), nil
	default:
		return []Effect{RunContracts{Resolved: resolved, Contracts: contract.Names(resolved), Own: a.Request.GetOwn()}}, nil
	}
}

// decode reads a request; what its writer must never write is poison.
func decode(a Ask) (*ledger.Transaction, []*ledger.Filtered, error) {
	r := a.Request
	poison := func(format string, args ...any) (*ledger.Transaction, []*ledger.Filtered, error) {
		return nil, nil, engine.Poison("%s: record %q of %s: %s", idRequest, printable(a.Key), topics.VerificationRequests, fmt.Sprintf(format, args...))
	}
	tx, err := ledger.Decode(r.GetTransaction())
	if err != nil {
		return poison("field transaction cannot be decoded: %s", err)
	}
	if id := tx.ID().String(); a.Key != id {
		return poison("field transaction has the id %s, which must be the record's key", id)
	}
	named := tx.Content().Metadata.Packages
	if len(r.GetPackages()) != len(named) {
		return poison("field packages has %d checksums, the transaction names %d packages", len(r.GetPackages()), len(named))
	}
	for i, p := range named {
		if string(r.GetPackages()[i]) != string(p.Checksum[:]) {
			return poison("field packages: checksum %d is not that of package %s in the transaction", i, p.Name)
		}
	}
	var sources []*ledger.Filtered
	for i, b := range r.GetSources() {
		f, err := ledger.DecodeFiltered(b)
		if err != nil {
			return poison("field sources: %d cannot be decoded: %s", i, err)
		}
		sources = append(sources, f)
	}
	return tx, sources, nil
}

// ran answers when the contracts have spoken.
func ran(s State, e Ran) ([]Effect, error) {
	id, err := ledger.ParseHash(e.Key) // the first step has compared it
	if err != nil {
		return nil, engine.Poison("%s: %w", idRequest, err)
	}
	switch {
	case e.Later != nil:
		return []Effect{Wait{Err: e.Later}, Note{Later}}, nil //nolint:nilerr // it is run again
	case len(e.Missing) > 0:
		var names []string
		for _, p := range e.Missing {
			names = append(names, fmt.Sprintf("%s %s (SHA-256 %s)", p.Name, p.Version, p.Checksum))
		}
		missing := strings.Join(names, ", ")
		if age := e.NowUs - e.SentUs; age > -clockSkewUs && age < s.PackageWaitUs {
			// As long again as it has waited: a package comes at once or not at all, and requests may be large.
			return []Effect{Wait{fmt.Errorf("package %s is not known here yet", missing), min(max(0, age), s.PackageWaitUs-age)}, Note{Later}}, nil
		}
		return respondError(idMissing, rpcv1.ErrorKind_ERROR_KIND_UNAVAILABLE, TypePackageMissing, Missed,
			"transaction %s needs packages that this cluster does not have: %s: upload them, then ask again", id, missing), nil
	}
	if e.Untrusted != "" {
		return respondError(idUntrusted, rpcv1.ErrorKind_ERROR_KIND_INVALID, TypePackageUntrusted, Refused, "transaction %s: %s", id, e.Untrusted), nil
	}
	result := verdict(e.Failures)
	return append(respond(result), Remember{id, result}), nil
}
