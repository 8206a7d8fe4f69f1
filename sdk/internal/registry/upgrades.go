package registry

import "fmt"

// Upgrade makes a payload of a type's version one of the next.
type Upgrade func(payload []byte) ([]byte, error)

// upgrades are by type and the version that they begin at.
var upgrades = map[string]map[uint32]Upgrade{}

// AddUpgrade registers an upgrade. One that is registered already, or a version or type that cannot be, is a mistake of the
// program and panics.
func AddUpgrade(typ string, from uint32, u Upgrade) {
	switch {
	case typ == "" || from == 0:
		panic(fmt.Sprintf("contract.Upgrade: type %q, version %d: a type has a name, and its versions begin with 1", typ, from))
	case upgrades[typ][from] != nil:
		panic(fmt.Sprintf("contract.Upgrade: an upgrade of type %s from version %d is registered already", typ, from))
	}
	if upgrades[typ] == nil {
		upgrades[typ] = map[uint32]Upgrade{}
	}
	upgrades[typ][from] = u
}

// UpgradeOf is the upgrade of a type from a version, nil for none.
func UpgradeOf(typ string, from uint32) Upgrade { return upgrades[typ][from] }

// TypeVersion is the version that all upgrades of a type lead to, 1 for a type without.
func TypeVersion(typ string) uint32 {
	last := uint32(0)
	for from := range upgrades[typ] {
		last = max(last, from)
	}
	return last + 1
}
