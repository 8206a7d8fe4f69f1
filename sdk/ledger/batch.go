package ledger

import "fmt"

// VerifyAll checks that each signature is one of the transaction at the same place, as [Signature.Verify] does. What several
// transactions of one batch have in common is checked once, so that a batch costs little more than one signature.
func VerifyAll(ids []Hash, all []Signature) error {
	if len(ids) != len(all) {
		return fmt.Errorf("%w: %d signatures of %d transactions", ErrSignature, len(all), len(ids))
	}
	good := map[string]bool{}
	for i, s := range all {
		root, err := s.root(ids[i])
		if err != nil {
			return fmt.Errorf("%w of transaction %s: %w", ErrSignature, ids[i], err)
		}
		// Each part that is checked, and none can run into the next: the lengths go before.
		name := fmt.Sprintf("%d %d %s%s%s", len(s.By), len(s.Bytes), s.By, s.Bytes, SignedBytes(root, s.Metadata))
		if good[name] {
			continue
		}
		if err := s.Verify(ids[i]); err != nil {
			return err
		}
		good[name] = true
	}
	return nil
}
