package contract

import (
	"encoding/json"
	"fmt"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// Upgrade registers how the payload of a state of version from of a type becomes one of the next version. It is called from
// init functions, once for each version that states may still have; each upgrade stays for as long as there are such states:
//
//	func init() {
//		contract.Upgrade("com.example.Coin", 1, func(old coin1) (coin2, error) { … })
//		contract.Upgrade("com.example.Coin", 2, func(old coin2) (Coin, error) { … })
//	}
//
// [Read] applies them. The version that the last one leads to is what [TypeVersion] says, and what new states have. An
// upgrade computes, as a contract does: every verifier must get the same. A type or version that cannot be, or that has its
// upgrade, is a mistake that shows at the program's first start.
func Upgrade[Old, New any](typ string, from uint32, upgrade func(Old) (New, error)) {
	registry.AddUpgrade(typ, from, func(payload []byte) ([]byte, error) {
		old, err := Payload[Old](payload)
		if err != nil {
			return nil, err
		}
		next, err := upgrade(old)
		if err != nil {
			return nil, err
		}
		return json.Marshal(next)
	})
}

// TypeVersion is the version of a type that this program knows: what the last upgrade leads to, 1 for a type without. It is
// what new states of the type have as their TypeVersion.
func TypeVersion(typ string) uint32 { return registry.TypeVersion(typ) }

// Read reads the payload of a state, of whatever version of its type, as one of the version that this program knows: upgrades
// are applied one after the other. A contract's S.State is such a state, and so is what the vault finds. It is an error that
// the state's version is later than what is known, or that no upgrade leads on from it; the error of an upgrade is one, too.
//
// What Read returns is what the program works with. The state itself stays as it is: its bytes are what the transaction's
// id commits to, and queries of the vault see them.
func Read[T any](s ledger.State) (T, error) {
	var none T
	known := TypeVersion(s.Type)
	if s.TypeVersion > known {
		return none, fmt.Errorf("the state is of version %d of type %s, and the last one that is known here is %d", s.TypeVersion, s.Type, known)
	}
	payload := s.Payload
	for version := s.TypeVersion; version < known; version++ {
		upgrade := registry.UpgradeOf(s.Type, version)
		if upgrade == nil {
			return none, fmt.Errorf("the state is of version %d of type %s, and nothing here upgrades from version %d to version %d", s.TypeVersion, s.Type, version, version+1)
		}
		var err error
		if payload, err = upgrade(payload); err != nil {
			return none, fmt.Errorf("the state is of version %d of type %s: the upgrade from version %d to version %d: %w", s.TypeVersion, s.Type, version, version+1, err)
		}
	}
	return Payload[T](payload)
}
