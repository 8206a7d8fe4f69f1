package ledger

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// CompareVersions returns -1, 0 or 1. Versions are compared part by part, numbers as numbers; a missing part is 0, and what
// stands behind a hyphen (1.0-beta) makes it earlier than without. What stands behind a plus does not count.
func CompareVersions(a, b string) int {
	cut := func(v string) (release, pre []string) {
		v, _, _ = strings.Cut(v, "+")
		r, p, _ := strings.Cut(v, "-")
		if p != "" {
			pre = strings.FieldsFunc(p, func(r rune) bool { return r == '.' || r == '-' })
		}
		return strings.Split(r, "."), pre
	}
	ra, pa := cut(a)
	rb, pb := cut(b)
	for i := range max(len(ra), len(rb)) {
		if c := comparePart(at(ra, i), at(rb, i)); c != 0 {
			return c
		}
	}
	switch {
	case len(pa) == 0 && len(pb) == 0:
		return 0
	case len(pa) == 0:
		return 1
	case len(pb) == 0:
		return -1
	}
	return slices.CompareFunc(pa, pb, comparePart)
}

func at(parts []string, i int) string {
	if i < len(parts) {
		return parts[i]
	}
	return "0"
}

// comparePart compares numbers as numbers; a number is earlier than a word.
func comparePart(a, b string) int {
	x, errA := strconv.ParseUint(a, 10, 64)
	y, errB := strconv.ParseUint(b, 10, 64)
	switch {
	case errA == nil && errB == nil:
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	case errA == nil:
		return -1
	case errB == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// Installed is a package as a virtual node, or a cluster, has it.
type Installed struct {
	Package
	// CompatibleFrom is the lowest version whose states it takes; empty for none but its own.
	CompatibleFrom string
	// Contracts are the names of its contracts.
	Contracts []string
}

// Refuses is what is against consuming states under this package that another one made, and empty for nothing: a state is
// consumed under the package that made it, the same version built anew, or a later one that says so, of the same name and
// signers. The zero value of made is a package that is not known.
func (p Installed) Refuses(made Package) string {
	by := fmt.Sprintf("was made by package %s %s", made.Name, made.Version)
	switch {
	case made.Name == "":
		return "was made by packages none of which has its contract"
	case made.Checksum == p.Checksum:
		return ""
	case made.Name != p.Name:
		return fmt.Sprintf("%s, and its contract is here that of package %s: name a version of package %s", by, p.Name, made.Name)
	case made.SignedBy() != p.SignedBy():
		return fmt.Sprintf("%s, signed by %s, and package %s %s is signed by %s: only the same signers make a version that takes its states", by, made.Signer, p.Name, p.Version, p.Signer)
	}
	switch order := CompareVersions(made.Version, p.Version); {
	case order == 0: // built anew
		return ""
	case order > 0:
		return fmt.Sprintf("%s, which is later than version %s: upgrade the virtual node to %s or later", by, p.Version, made.Version)
	case p.CompatibleFrom == "":
		return fmt.Sprintf("%s, and version %s takes only states of its own: it has no compatible_from; a later version takes them whose compatible_from is %s or lower", by, p.Version, made.Version)
	case CompareVersions(made.Version, p.CompatibleFrom) < 0:
		return fmt.Sprintf("%s, and version %s takes states of version %s and later (compatible_from)", by, p.Version, p.CompatibleFrom)
	}
	return ""
}

// CannotConsume says why a virtual node with these packages could not consume a state of a contract that a transaction with the
// packages made has made; it is empty when it could. Which of several made packages has the contract, only their files tell, which
// are not looked at here: it is the file that is here, or the one of the same name.
func CannotConsume(own []Installed, contract string, made []Package) string {
	at := slices.IndexFunc(own, func(o Installed) bool { return slices.Contains(o.Contracts, contract) })
	if at < 0 {
		return "has contract " + contract + ", which none of its packages has"
	}
	return own[at].Refuses(own[at].maker(made))
}

func (p Installed) maker(made []Package) Package {
	if len(made) == 1 {
		return made[0]
	}
	i := slices.IndexFunc(made, func(m Package) bool { return m.Checksum == p.Checksum })
	if i < 0 {
		i = slices.IndexFunc(made, func(m Package) bool { return m.Name == p.Name })
	}
	if i < 0 {
		return Package{}
	}
	return made[i]
}

// SignedBy is a package's signer, zero for one that nobody has signed: its signer is the file's checksum. Only a development
// cluster has such packages, and so runs their contracts.
func (p Package) SignedBy() Hash {
	if p.Signer == p.Checksum {
		return Hash{}
	}
	return p.Signer
}
