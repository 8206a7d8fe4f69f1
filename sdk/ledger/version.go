package ledger

import (
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

// Later tells whether a package is a later version of another one: of the same name and signers. What a later version makes,
// an earlier one cannot consume.
func (p Package) Later(than Package) bool {
	signer := func(p Package) Hash {
		if p.Signer == p.Checksum { // nobody has signed it, which is the case on development clusters alone
			return Hash{}
		}
		return p.Signer
	}
	return p.Name == than.Name && signer(p) == signer(than) && CompareVersions(p.Version, than.Version) > 0
}
