package database_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"strings"
	"testing"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/processors/database"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
)

// storeMetadata stores that of a transaction of this version of its package.
func storeMetadata(ctx context.Context, tx *postgres.Tx, p pack) (hash []byte, err error) {
	if _, err := tx.Exec(ctx, "SET TRANSACTION DEFERRABLE"); err != nil { // as the platform does
		return nil, err
	}
	m := ledger.Metadata{LedgerVersion: ledger.Version, PlatformVersion: 1, Packages: []ledger.Package{{
		Name: "cpk", Version: p.Version, Checksum: sha256.Sum256(p.Code), Signer: ledger.Hash([]byte(strings.Repeat("\x5E", 32))),
	}}}
	sum := sha256.Sum256(m.Encode())
	_, err = tx.Exec(ctx, "INSERT INTO fl_metadata VALUES ($1, $2, '') ON CONFLICT DO NOTHING", sum[:], m.Encode())
	return sum[:], err
}

// comes puts an unverified transaction into the vault that gives the virtual node one of its two outputs.
func (w *world) comes(hash string, p pack, contract string) {
	w.t.Helper()
	id := sha256.Sum256([]byte("coming " + p.Version + contract))
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		w.t.Fatal(err)
	}
	err = w.as(hash, clusterdb.DML).InTx(w.t.Context(), postgres.TxOptions{}, func(ctx context.Context, tx *postgres.Tx) error {
		sum, err := storeMetadata(ctx, tx, p)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO fl_transaction (id, status, salt, metadata_hash, visible, created, updated, number) VALUES ($1, 'U', '', $2, '{1}', now(), now(), 2)", id[:], sum); err != nil {
			return err
		}
		for leaf, name := range []string{"Others", contract} {
			info, content := ledger.State{Contract: name, Type: "Coin", TypeVersion: 1, Participants: []ledger.PublicKey{key}, Payload: []byte("{}")}.Components()
			for group, b := range map[int16][]byte{3: info, 7: content} {
				if _, err := tx.Exec(ctx, "INSERT INTO fl_component VALUES ($1, $2, $3, $4)", id[:], group, int32(leaf), b); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// ends makes what is on its way invalid, as repair does.
func (w *world) ends(hash string) {
	w.t.Helper()
	err := w.as(hash, clusterdb.DML).InTx(w.t.Context(), postgres.TxOptions{}, func(ctx context.Context, tx *postgres.Tx) error {
		if _, err := tx.Exec(ctx, "SET TRANSACTION DEFERRABLE"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, "UPDATE fl_transaction SET status = 'I' WHERE status = 'U'")
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// keeps puts unconsumed states, and a consumed one, into the vault of a virtual node, made by this version of its package.
func (w *world) keeps(hash string, p pack, contract string, states int) {
	w.t.Helper()
	id := sha256.Sum256([]byte(p.Version + contract))
	err := w.as(hash, clusterdb.DML).InTx(w.t.Context(), postgres.TxOptions{}, func(ctx context.Context, tx *postgres.Tx) error {
		sum, err := storeMetadata(ctx, tx, p)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "INSERT INTO fl_transaction (id, status, salt, metadata_hash, created, updated, number) VALUES ($1, 'V', '', $2, now(), now(), 1)", id[:], sum); err != nil {
			return err
		}
		for i := range states + 1 {
			consumed, by := "NULL", "NULL"
			if i == states {
				consumed, by = "now()", "''"
			}
			if _, err := tx.Exec(ctx, `INSERT INTO fl_state (transaction_id, leaf_index, number, type, type_version, contract, notary, created, consumed, consumed_by)
SELECT $1, $2, coalesce(max(number), 0) + 1, 'Coin', 1, $3, 'N', now(), `+consumed+", "+by+" FROM fl_state", id[:], int32(i), contract); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// An upgrade that would make states unconsumable is refused before its migrations run, and says which and why.
func TestUpgradeLosesNoStates(t *testing.T) {
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.start()
	version := func(v, from string, contracts ...string) pack {
		p := bank(v, postgres.Migration{Name: "0003.sql", SQL: "ALTER TABLE account ADD note text"})
		p.Signer, p.Contracts, p.Code, p.CompatibleFrom = "SHA-256:"+codeSigner, contracts, codeFileOf(t, v, 10), from
		return p
	}
	first, plain := version("2.0", "1.0", "Coin", "Note"), version("3.0", "", "Coin", "Note")
	first.Migrations = bank("2.0").Migrations
	const alice = "O=Alice, L=London, C=GB"
	hash := w.create(alice, w.installed(first))
	w.succeeds(hash)
	w.must("vnode/"+hash, state(hash, maintenance), &vnodev1.VirtualNode{})
	seen := map[string]bool{}
	upgrade := func(p pack, force, keep bool) string {
		if !seen[p.checksum(t)] {
			w.installed(p)
			seen[p.checksum(t)] = true
		}
		var accepted dbv1.AcceptedOperation
		w.must("vnode/"+hash, &dbv1.Request{Operation: &dbv1.Request_UpgradeVirtualNode{UpgradeVirtualNode: &dbv1.UpgradeVirtualNode{ShortHash: hash, CpiChecksum: p.checksum(t), Force: force, KeepStates: keep}}}, &accepted)
		return accepted.GetRequestId()
	}
	idle := func() {
		w.until("the end of the operation", func() bool { return w.node(hash).GetOperationInProgress() == "" })
	}
	has := func(p pack) {
		idle()
		if got := w.node(hash).GetCpiChecksum(); got != p.checksum(t) {
			t.Fatalf("the virtual node has package %s, want version %s", got, p.Version)
		}
	}
	w.comes(hash, first, "Coin")
	w.fails("an upgrade while money is on its way", w.ended(upgrade(plain, false, false)), database.ErrStates,
		": 1 of contract Coin, on their way to it, in unverified transactions, each of which was made by package cpk 2.0", "fairlead ledger repair")
	idle()
	w.ends(hash)
	w.keeps(hash, first, "Coin", 2)
	w.keeps(hash, version("1.5", ""), "Coin", 1)
	w.keeps(hash, version("0.9", ""), "Coin", 4) // nor could the version that is there
	w.keeps(hash, version("2.0", ""), "Gone", 4)
	w.fails("a version that takes none", w.ended(upgrade(plain, false, false)), database.ErrStates, "virtual node "+hash, "with package bank 3.0",
		"2 of contract Coin, each of which was made by package cpk 2.0, and version 3.0 takes only states of its own: it has no compatible_from", "; 1 of contract Coin, each of which was made by package cpk 1.5", "--force")
	has(first)
	if _, err := w.as(hash, clusterdb.DML).Exec(t.Context(), "SELECT note FROM account"); err == nil || !strings.Contains(err.Error(), "note") {
		t.Errorf("the migration of what is refused ran: %v", err)
	}
	w.fails("a version from which the contract is gone", w.ended(upgrade(version("4.0", "1.0", "Note"), false, false)), database.ErrStates, "3 of contract Coin, each of which has contract Coin, which none of its packages has")
	idle()
	w.fails("one that takes some", w.ended(upgrade(version("5.0", "2.0", "Coin"), false, false)), database.ErrStates, ": 1 of contract Coin, each of which was made by package cpk 1.5, and version 5.0 takes states of version 2.0 and later (compatible_from). Its package")
	idle()
	w.fails("forced, but not against the states", w.ended(upgrade(plain, true, true)), database.ErrStates, "2 of contract Coin")
	idle()
	if got := w.succeeds(upgrade(plain, true, false)).GetOverridden(); len(got) != 1 || !strings.Contains(got[0], "2 of contract Coin, each of which was made by package cpk 2.0") {
		t.Errorf("the forced upgrade went past %q", got)
	}
	has(plain)
	// From there nothing is lost that is not lost already; a version that takes the states frees them, and cannot be left.
	next := version("6.0", "", "Coin")
	w.succeeds(upgrade(next, false, false))
	has(next)
	frees := version("7.0", "1.5", "Coin")
	w.succeeds(upgrade(frees, false, false))
	has(frees)
	w.fails("an earlier version", w.ended(upgrade(next, false, false)), database.ErrStates, "2 of contract Coin, each of which was made by package cpk 2.0, and version 6.0 takes only")
	has(frees)
	w.keeps(hash, frees, "Coin", 1)
	w.fails("an earlier version, and its own states", w.ended(upgrade(plain, false, false)), database.ErrStates, fmt.Sprintf("made by package cpk 7.0, which is later than version 3.0: upgrade the virtual node to %s or later", frees.Version))
}
