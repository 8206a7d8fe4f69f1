package rbac

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
)

func cheap() Cost { return Cost{MemoryKiB: 64, Passes: 1, Lanes: 1} }

func TestHashVerifies(t *testing.T) {
	h, err := Hash("s3cret", cheap())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(h, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("not PHC: %s", h)
	}
	for password, want := range map[string]bool{"s3cret": true, "S3cret": false, "": false, strings.Repeat("x", 300): false} {
		got, err := Verify(h, password)
		if err != nil || got != want {
			t.Errorf("Verify(%q) = %v, %v; want %v", password, got, err, want)
		}
	}
	if again, _ := Hash("s3cret", cheap()); again == h {
		t.Error("two hashes of one password share a salt")
	}
	if _, err := Hash("", cheap()); err == nil {
		t.Error("an empty password was hashed")
	}
}

// A vector of the reference implementation: echo -n password | argon2 somesalt -id -t 2 -m 16 -p 1 -l 24.
func TestVerifyReadsOtherPrograms(t *testing.T) {
	ok, err := Verify("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "password")
	if err != nil || !ok {
		t.Fatalf("got %v, %v", ok, err)
	}
}

func TestVerifyRefusesWhatItCannotBound(t *testing.T) {
	salt, key := "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, h := range []string{
		"", "x", "$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + key, "$argon2id$v=18$m=64,t=1,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=99999999,t=1,p=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=1,p=99$" + salt + "$" + key, "$argon2id$v=19$m=8,t=1,p=4$" + salt + "$" + key,
		"$argon2id$v=19$m=64,t=1$" + salt + "$" + key, "$argon2id$v=19$m=64,t=1,p=1$!$" + key, "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$",
	} {
		if ok, err := Verify(h, "password"); ok || err == nil {
			t.Errorf("%q: %v, %v", h, ok, err)
		}
	}
}

// Whether a hash may be stored is told by its text, and what its verification would cost is bounded.
func TestCheckHash(t *testing.T) {
	rest := "$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for parameters, ok := range map[string]bool{
		"m=19456,t=2,p=1": true, "m=65536,t=3,p=4": true, "m=262144,t=1,p=1": true,
		"m=262144,t=2,p=1": false, "m=65536,t=16,p=1": false, "m=99999999,t=1,p=1": false,
	} {
		if err := CheckHash("$argon2id$v=19$" + parameters + rest); (err == nil) != ok || err != nil && !errors.Is(err, ErrHash) {
			t.Errorf("%s: %v", parameters, err)
		}
	}
	h, err := Hash("a password", DefaultCost())
	if err != nil || CheckHash(h) != nil {
		t.Errorf("%s: %v, %v", h, err, CheckHash(h))
	}
	const runs = 3
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		if err := CheckHash("$argon2id$v=19$m=262144,t=1,p=1" + rest); err != nil {
			t.Error(err)
		}
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 64<<20 {
		t.Error("the hash was run")
	}
}

type facts struct {
	users       map[string]*rbacv1.User
	roles       map[string]*rbacv1.Role
	permissions map[string]*rbacv1.Permission
}

func (f facts) User(l string) (*rbacv1.User, bool)  { v, ok := f.users[l]; return v, ok }
func (f facts) Role(id string) (*rbacv1.Role, bool) { v, ok := f.roles[id]; return v, ok }
func (f facts) Permission(id string) (*rbacv1.Permission, bool) {
	v, ok := f.permissions[id]
	return v, ok
}

const (
	allow = rbacv1.PermissionEffect_PERMISSION_EFFECT_ALLOW
	deny  = rbacv1.PermissionEffect_PERMISSION_EFFECT_DENY
)

func world(permissions ...*rbacv1.Permission) facts {
	f := facts{
		users: map[string]*rbacv1.User{
			"ann": {LoginName: "ann", Enabled: true, RoleIds: []string{"r", "gone"}},
			"off": {LoginName: "off", RoleIds: []string{"r"}},
		},
		roles:       map[string]*rbacv1.Role{"r": {Id: "r", PermissionIds: []string{"gone"}}},
		permissions: map[string]*rbacv1.Permission{},
	}
	for i, p := range permissions {
		p.Id = string(rune('a' + i))
		f.permissions[p.Id] = p
		f.roles["r"].PermissionIds = append(f.roles["r"].PermissionIds, p.Id)
	}
	return f
}

func TestAllowed(t *testing.T) {
	const h = "253501665E9D"
	p := func(e rbacv1.PermissionEffect, pattern, vnode string) *rbacv1.Permission {
		return &rbacv1.Permission{Effect: e, Pattern: pattern, VnodeShortHash: vnode}
	}
	flow := "/api/v5_2/flow/" + h
	for _, c := range []struct {
		name        string
		permissions []*rbacv1.Permission
		login       string
		request     Request
		want        bool
	}{
		{"nothing allows", nil, "ann", Call("GET", flow, "", "", h), false},
		{"allow", []*rbacv1.Permission{p(allow, "GET:/api/.*", "")}, "ann", Call("GET", flow, "", "", h), true},
		{"case is ignored", []*rbacv1.Permission{p(allow, "get:/API/.*", "")}, "ann", Call("GET", flow, "", "", h), true},
		{"whole subject", []*rbacv1.Permission{p(allow, "GET:/api/v5_2", "")}, "ann", Call("GET", flow, "", "", h), false},
		{"alternatives stay inside", []*rbacv1.Permission{p(allow, "GET:/x|GET:/y", "")}, "ann", Call("GET", "/yy", "", "", ""), false},
		{"trailing slash is cut", []*rbacv1.Permission{p(allow, "GET:"+flow, "")}, "ann", Call("GET", flow+"/", "", "", h), true},
		{"query counts", []*rbacv1.Permission{p(allow, "GET:"+flow, "")}, "ann", Call("GET", flow, "status=RUNNING", "status=RUNNING", h), false},
		{"deny wins", []*rbacv1.Permission{p(deny, "GET:.*", ""), p(allow, ".*", "")}, "ann", Call("GET", flow, "", "", h), false},
		{"deny wins when last", []*rbacv1.Permission{p(allow, ".*", ""), p(deny, "GET:.*", "")}, "ann", Call("GET", flow, "", "", h), false},
		{"deny sees the decoded query", []*rbacv1.Permission{p(allow, ".*", ""), p(deny, `.*\?status=RUNNING`, "")}, "ann",
			Call("GET", flow, "status=%52UNNING", "status=RUNNING", h), false},
		{"newline does not end the match", []*rbacv1.Permission{p(allow, "GET:/x.*", "")}, "ann", Call("GET", "/x\n/y", "", "", ""), true},
		{"bound to another vnode", []*rbacv1.Permission{p(allow, ".*", "AAAAAAAAAAAA")}, "ann", Call("GET", flow, "", "", h), false},
		{"bound to this vnode", []*rbacv1.Permission{p(allow, ".*", strings.ToLower(h))}, "ann", Call("GET", flow, "", "", h), true},
		{"deny bound to another vnode", []*rbacv1.Permission{p(allow, ".*", ""), p(deny, ".*", "AAAAAAAAAAAA")}, "ann", Call("GET", flow, "", "", h), true},
		{"start", []*rbacv1.Permission{p(allow, "StartFlow:hello", "")}, "ann", StartFlow("hello", h), true},
		{"other class", []*rbacv1.Permission{p(allow, "StartFlow:hello", "")}, "ann", StartFlow("hello2", h), false},
		{"unknown user", []*rbacv1.Permission{p(allow, ".*", "")}, "bob", StartFlow("hello", h), false},
		{"disabled user", []*rbacv1.Permission{p(allow, ".*", "")}, "off", StartFlow("hello", h), false},
		{"broken deny denies", []*rbacv1.Permission{p(allow, ".*", ""), p(deny, "(?=x)", "")}, "ann", StartFlow("hello", h), false},
		{"broken allow does not allow", []*rbacv1.Permission{p(allow, ")|(.*", "")}, "ann", StartFlow("hello", h), false},
		{"effect unknown", []*rbacv1.Permission{p(0, ".*", "")}, "ann", StartFlow("hello", h), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var rules Rules
			for range 2 { // the second time with compiled patterns
				if got := rules.Allowed(world(c.permissions...), c.login, c.request); got != c.want {
					t.Errorf("got %v", got)
				}
			}
		})
	}
}

func TestThrottle(t *testing.T) {
	now := time.Unix(1000, 0)
	th := NewThrottle(3, time.Minute, 2)
	for range 3 {
		if w := th.Wait("a", now); w != 0 {
			t.Fatalf("waits %v too early", w)
		}
		th.Failed("a", now)
	}
	if w := th.Wait("a", now.Add(10*time.Second)); w != 50*time.Second {
		t.Fatalf("waits %v", w)
	}
	if w := th.Wait("a", now.Add(time.Minute)); w != 0 {
		t.Fatalf("still waits %v", w)
	}
	th.Failed("b", now)
	th.Failed("c", now.Add(2*time.Minute))
	th.Failed("d", now.Add(2*time.Minute))
	if len(th.entries) > 2 {
		t.Fatalf("remembers %d keys", len(th.entries))
	}
	th.Succeeded("d")
	if w := th.Wait("d", now); w != 0 {
		t.Fatal("success did not clear")
	}
}

func TestCache(t *testing.T) {
	now := time.Unix(1000, 0)
	c, err := NewCache(time.Minute, 2)
	if err != nil {
		t.Fatal(err)
	}
	c.Add("ann", "pw", "hash1", now)
	if !c.Has("ann", "pw", "hash1", now.Add(59*time.Second)) {
		t.Error("not remembered")
	}
	for _, miss := range [][3]string{{"ann", "pw2", "hash1"}, {"ann", "pw", "hash2"}, {"an", "npw", "hash1"}} {
		if c.Has(miss[0], miss[1], miss[2], now) {
			t.Errorf("%v found", miss)
		}
	}
	if c.Has("ann", "pw", "hash1", now.Add(time.Minute)) {
		t.Error("not forgotten in time")
	}
	c.Drop("ann")
	if c.Has("ann", "pw", "hash1", now) {
		t.Error("not dropped")
	}
	for _, l := range []string{"a", "b", "c"} {
		c.Add(l, "pw", "h", now)
	}
	if len(c.entries) > 2 {
		t.Errorf("%d entries", len(c.entries))
	}
}
