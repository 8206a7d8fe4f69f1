package database

import (
	"errors"
	"testing"

	"github.com/fairleadio/fairlead/internal/clusterdb"
)

// A schema is looked at until it has what is needed, again when it moved, and what is wrong is said once.
func TestKeeper(t *testing.T) {
	k := keeper{present: map[string]string{}, told: map[string]string{}}
	a, b := clusterdb.VaultSchema{ShortHash: "A", Schema: "a"}, clusterdb.VaultSchema{ShortHash: "B", Schema: "b"}
	due := func(want ...string) {
		t.Helper()
		got := k.due([]clusterdb.VaultSchema{a, b})
		if len(got) != len(want) {
			t.Fatalf("due are %v, want %v", got, want)
		}
		for i := range got {
			if got[i].ShortHash != want[i] {
				t.Errorf("due are %v, want %v", got, want)
			}
		}
	}
	due("A", "B")
	if k.looked(a, nil) {
		t.Error("a schema that was never wrong is news")
	}
	wrong, worse := errors.New("wrong"), errors.New("worse")
	for i, c := range []struct {
		err  error
		news bool
	}{{wrong, true}, {wrong, false}, {worse, true}} {
		if k.looked(b, c.err) != c.news {
			t.Errorf("%d: news is %t", i, !c.news)
		}
	}
	due("B")
	if !k.looked(b, nil) {
		t.Error("a schema that is repaired is no news")
	}
	due()
	a.Address = "postgres://elsewhere/a"
	due("A")
}
