package database_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/fairleadio/fairlead/internal/postgres/pgtest"
	"github.com/fairleadio/fairlead/topics"
)

// A virtual node whose database takes the login and says nothing waits alone: other requests go on.
func TestSilentDatabaseHoldsNobody(t *testing.T) {
	b := bring(t)
	u, err := url.Parse(b.url)
	if err != nil {
		t.Fatal(err)
	}
	f := pgtest.Falter(t, u.Host) // it ends when the worker has
	w := newWorld(t, pgtest.Database(t), pgtest.Database(t))
	w.callers = time.Hour // so that nothing but the silence is waited for
	w.start()
	checksum := w.installed(feeding("1"))
	hash, m := w.createWith("O=Alice, L=London, C=GB", checksum, b.at(b.ddl, b.password[b.ddl], "alice", f.Address, ""), b.at(b.dml, b.password[b.dml], "alice", f.Address, ""))
	w.must("vnode/"+hash, m, nil)
	w.succeeds(hash)
	w.must("vnode/"+hash, state(hash, maintenance), nil)
	f.Mute()
	w.producerSend("active", "vnode/"+hash, state(hash, active))
	w.until("the silent login", func() bool { return f.Asked() > 0 })
	w.must("config/corda.rbac", putConfig("corda.rbac", "{}", 0), nil)
	if _, ok := w.views[topics.Config].Get("corda.rbac"); !ok {
		t.Error("the change is not told")
	}
}
