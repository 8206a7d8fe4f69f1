package ledgerstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/postgres"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Installed are the packages of code of a CPI that have contracts, with what they say of the states that they take. The signer of
// one that is not signed is its checksum: no signer has such a hash, and each transaction must name one.
func Installed(cpi *cpiv1.Cpi) []ledger.Installed {
	contracts := map[string][]string{}
	for _, m := range cpi.GetModules() {
		contracts[string(m.GetSha256())] = m.GetContracts()
	}
	var out []ledger.Installed
	for _, k := range cpi.GetCpks() {
		if len(k.GetFileSha256()) != len(ledger.Hash{}) {
			continue
		}
		p := ledger.Installed{Package: ledger.Package{Name: k.GetName(), Version: k.GetVersion(), Checksum: ledger.Hash(k.GetFileSha256())}, CompatibleFrom: k.GetCompatibleFrom()}
		for _, sha := range k.GetModuleSha256S() {
			p.Contracts = append(p.Contracts, contracts[string(sha)]...)
		}
		if len(p.Contracts) == 0 {
			continue
		}
		p.Signer = p.Checksum
		if h, err := ledger.ParseHash(strings.TrimPrefix(k.GetSignerSummaryHash(), "SHA-256:")); err == nil {
			p.Signer = h
		}
		out = append(out, p)
	}
	return out
}

// Kept are unconsumed states of a vault, of one contract, whose transactions name the same packages.
type Kept struct {
	Contract string
	Packages []ledger.Package
	States   int64
	// Coming is set for outputs of unverified transactions: they become states when the notary's signature comes.
	Coming bool
}

// ReadKept reads all of a vault's, and what becomes states when unverified transactions are final.
func ReadKept(ctx context.Context, q postgres.Queryer) ([]Kept, error) {
	states, err := readStates(ctx, q)
	if err != nil {
		return nil, err
	}
	coming, err := readComing(ctx, q)
	return append(states, coming...), err
}

func readComing(ctx context.Context, q postgres.Queryer) (out []Kept, err error) {
	err = q.Each(ctx, func(r postgres.Row) error {
		var metadata, info, content []byte
		if err := r.Scan(&metadata, &info, &content); err != nil {
			return err
		}
		m, err := ledger.DecodeMetadata(metadata)
		if err != nil {
			return fmt.Errorf("metadata of an unverified transaction: %w", err)
		}
		s, err := ledger.DecodeState(info, content)
		if err != nil {
			return fmt.Errorf("output of an unverified transaction: %w", err)
		}
		out = append(out, Kept{Contract: s.Contract, Packages: m.Packages, States: 1, Coming: true})
		return nil
	}, `SELECT m.content, i.content, o.content
FROM fl_transaction t JOIN fl_metadata m ON m.hash = t.metadata_hash CROSS JOIN LATERAL unnest(t.visible) AS v(leaf)
JOIN fl_component i ON i.transaction_id = t.id AND i.group_index = 3 AND i.leaf_index = v.leaf
JOIN fl_component o ON o.transaction_id = t.id AND o.group_index = 7 AND o.leaf_index = v.leaf
WHERE t.status = 'U' AND NOT t.is_filtered ORDER BY t.number, v.leaf`)
	return out, err
}

func readStates(ctx context.Context, q postgres.Queryer) (out []Kept, err error) {
	err = q.Each(ctx, func(r postgres.Row) error {
		var k Kept
		var content []byte
		if err := r.Scan(&k.Contract, &content, &k.States); err != nil {
			return err
		}
		m, err := ledger.DecodeMetadata(content)
		if err != nil {
			return fmt.Errorf("metadata of states of contract %s: %w", k.Contract, err)
		}
		k.Packages = m.Packages
		out = append(out, k)
		return nil
	}, `SELECT s.contract, m.content, s.states
FROM (SELECT s.contract, t.metadata_hash, count(*) AS states
      FROM fl_state s JOIN fl_transaction t ON t.id = s.transaction_id WHERE s.consumed IS NULL GROUP BY 1, 2) s
JOIN fl_metadata m ON m.hash = s.metadata_hash ORDER BY 1, 3 DESC, 2`)
	return out, err
}

// Lost says which states an upgrade would keep without being able to consume them: those that the packages of now could consume, and
// those of next could not; and those of a contract whose name goes to other signers with next, or comes with it, and which others may
// have made: no contract of next has looked at them, and its flows would count them.
func Lost(kept []Kept, now, next []ledger.Installed) (out []string) {
	states := map[string]int64{}
	var texts []string
	for _, k := range kept {
		k.Packages = makers(k, now)
		fresh := goesOver(now, next, k)
		if !fresh && ledger.CannotConsume(now, k.Contract, k.Packages) != "" {
			continue
		}
		if text := ledger.CannotConsume(next, k.Contract, k.Packages); text != "" {
			about := ""
			if fresh {
				about = " which comes with it,"
			}
			if k.Coming {
				about += " on their way to it, in unverified transactions,"
			}
			text = fmt.Sprintf("of contract %s,%s each of which %s", k.Contract, about, text)
			if states[text] == 0 {
				texts = append(texts, text)
			}
			states[text] += k.States
		}
	}
	for _, text := range texts {
		out = append(out, fmt.Sprintf("%d %s", states[text], text))
	}
	return out
}

// goesOver tells whether the contract's name goes to signers, with next, who did not make all of the packages that may have made these
// states: from nobody here, or from others.
func goesOver(now, next []ledger.Installed, k Kept) bool {
	from, to := owner(now, k.Contract), owner(next, k.Contract)
	if to < 0 || from >= 0 && now[from].SignedBy() == next[to].SignedBy() {
		return false
	}
	return slices.ContainsFunc(k.Packages, func(p ledger.Package) bool { return p.SignedBy() != next[to].SignedBy() })
}

func owner(packages []ledger.Installed, contract string) int {
	return slices.IndexFunc(packages, func(p ledger.Installed) bool { return slices.Contains(p.Contracts, contract) })
}

// makers narrows the packages of states down to the one that made them, when its file is one of those that are here. What the next
// packages made themselves they take, so only those of now need be asked.
func makers(k Kept, here []ledger.Installed) []ledger.Package {
	for _, p := range here {
		if i := slices.IndexFunc(k.Packages, func(m ledger.Package) bool { return m.Checksum == p.Checksum }); i >= 0 && slices.Contains(p.Contracts, k.Contract) {
			return k.Packages[i : i+1]
		}
	}
	return slices.DeleteFunc(slices.Clone(k.Packages), func(m ledger.Package) bool { // its file is here, and has not the contract
		return slices.ContainsFunc(here, func(p ledger.Installed) bool { return p.Checksum == m.Checksum })
	})
}
