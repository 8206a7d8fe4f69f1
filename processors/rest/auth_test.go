package rest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fairleadio/fairlead/internal/rbac"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
)

func (w *world) login(user, password, address string) int {
	w.t.Helper()
	r := httptest.NewRequest(http.MethodGet, flows, strings.NewReader(""))
	r.SetBasicAuth(user, password)
	r.RemoteAddr = address
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	return rec.Code
}

func TestWhoCalls(t *testing.T) {
	w := newWorld(t, Config{})
	none := w.do("", "GET "+flows, "")
	w.want(none, 401, cordaError(401, "User credentials are empty or cannot be resolved"))
	if got := none.Header()["Www-Authenticate"]; len(got) != 1 || got[0] != `Basic realm="Corda REST Worker"` {
		t.Errorf("challenge %q", got)
	}
	w.want(w.do("", "GET "+flows, "", "Authorization: Bearer abc"), 401, cordaError(401, "User credentials are empty or cannot be resolved"))
	w.want(w.do("carol", "GET "+flows, ""), 401, cordaError(401, "Error during user authentication"))
	w.want(w.do("ALICE", "GET "+flows, ""), 200, "")
	w.want(w.do("bob", "GET /api/v5_2/flowclass/"+aliceHash, ""), 403, cordaError(403, "User not authorized."))
	own := w.do("bob", "GET /api/fairlead/v1/health", "")
	w.want(own, 403, "")
	if own.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("own surface: %v %s", own.Header(), own.Body)
	}
}

// A verified pair is remembered, but not beyond a change of the credential, of the user, or its time.
func TestVerifiedPairIsDropped(t *testing.T) {
	w := newWorld(t, Config{})
	from := "192.0.2.1:1000"
	if got := w.login("alice", "pw", from); got != 200 {
		t.Fatalf("log-in: %d", got)
	}
	hash, err := rbac.Hash("new", rbac.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.creds.put("alice", &rbacv1.Credential{LoginName: "alice", PasswordHash: hash})
	if got := w.login("alice", "pw", from); got != 401 {
		t.Errorf("old password after a change: %d", got)
	}
	if got := w.login("alice", "new", from); got != 200 {
		t.Errorf("new password: %d", got)
	}
	w.users.put("alice", &rbacv1.User{LoginName: "alice", RoleIds: []string{"alice"}})
	if got := w.login("alice", "new", from); got != 401 {
		t.Errorf("disabled user: %d", got)
	}
	w.users.put("alice", &rbacv1.User{LoginName: "alice", Enabled: true, RoleIds: []string{"alice"}})
	w.creds.put("alice", &rbacv1.Credential{LoginName: "alice", PasswordHash: hash, ExpiresAtUs: w.now.UnixMicro()})
	if got := w.login("alice", "new", from); got != 401 {
		t.Errorf("expired password: %d", got)
	}
}

// Requests that wait with one password are let in by the first of them that is verified: after a restart, when nothing is
// remembered, a crowd of clients would otherwise wait for one hash each.
func TestCrowdIsVerifiedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, Config{Verifications: 1})
		auth := w.server.auth
		auth.slots <- struct{}{} // one is being verified
		var crowd sync.WaitGroup
		for range 50 {
			crowd.Go(func() {
				if got := w.login("alice", "only the cache has this", "192.0.2.1:1000"); got != 200 {
					t.Errorf("a request that waited is answered %d: its password was hashed once more", got)
				}
			})
		}
		synctest.Wait()
		credential, _ := auth.accounts.Credential("alice")
		auth.cache.Add("alice", "only the cache has this", credential.GetPasswordHash(), w.now)
		<-auth.slots
		crowd.Wait()
	})
}

func TestLoginThrottling(t *testing.T) {
	w := newWorld(t, Config{LoginFailures: 3})
	if got := w.login("bob", "pw", "192.0.2.9:1"); got != 200 {
		t.Fatalf("bob: %d", got)
	}
	for range 3 {
		if got := w.login("bob", "wrong", "192.0.2.1:1000"); got != 401 {
			t.Fatalf("got %d", got)
		}
	}
	if got := w.login("bob", "other", "192.0.2.1:1001"); got != 429 {
		t.Errorf("fourth attempt: %d", got)
	}
	if got := w.login("bob", "pw", "192.0.2.1:1001"); got != 200 {
		t.Errorf("a verified pair is locked out: %d", got)
	}
	if got := w.login("bob", "wrong", "192.0.2.2:1000"); got != 401 {
		t.Errorf("another address: %d", got)
	}
	w.now = w.now.Add(time.Minute)
	if got := w.login("bob", "pw", "192.0.2.1:1001"); got != 200 {
		t.Errorf("after the window: %d", got)
	}
}

func TestClientAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:5": "192.0.2.1", "[2001:db8::1]:5": "2001:db8::/64", "[::ffff:192.0.2.1]:5": "::ffff:192.0.2.1", "odd": "odd",
	} {
		if got := clientAddress(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
