package rest

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/fairleadio/fairlead/internal/rbac"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
)

// accounts are the records that log-ins are judged by.
type accounts interface {
	rbac.Facts
	Credential(login string) (*rbacv1.Credential, bool)
}

// authenticator finds out who calls.
type authenticator struct {
	accounts accounts
	cache    *rbac.Cache
	now      func() time.Time
	// slots bounds the hashes computed at the same time: each takes megabytes.
	slots chan struct{}
	// nobody is the hash that an unknown login is verified against, so that it takes as long as a known one.
	nobody string

	mu       sync.Mutex
	throttle map[string]*rbac.Throttle
	failed   func()
}

// How many failed log-ins are remembered, and how many verified pairs.
const (
	throttledKeys  = 100_000
	verifiedPairs  = 10_000
	manyTimes      = 10
	loginFrom      = "login and address"
	loginAnywhere  = "login"
	addressForAny  = "address"
	ipv6PrefixBits = 64
)

func newAuthenticator(cfg Config, a accounts, now func() time.Time, failed func()) (*authenticator, error) {
	cache, err := rbac.NewCache(cfg.CredentialCache, verifiedPairs)
	if err != nil {
		return nil, err
	}
	nobody, err := rbac.Hash("nobody has this password", rbac.DefaultCost())
	if err != nil {
		return nil, err
	}
	return &authenticator{
		accounts: a, cache: cache, now: now, slots: make(chan struct{}, cfg.Verifications), nobody: nobody, failed: failed,
		throttle: map[string]*rbac.Throttle{
			loginFrom:     rbac.NewThrottle(cfg.LoginFailures, cfg.LoginWindow, throttledKeys),
			loginAnywhere: rbac.NewThrottle(cfg.LoginFailures*manyTimes, cfg.LoginWindow, throttledKeys),
			addressForAny: rbac.NewThrottle(cfg.LoginFailures*manyTimes, cfg.LoginWindow, throttledKeys),
		},
	}, nil
}

// caller returns the login name of who sent the request.
func (a *authenticator) caller(ctx context.Context, r *http.Request) (string, *failure) {
	login, password, ok := r.BasicAuth()
	if !ok || login == "" {
		return "", unauthenticated(idNoCredentials, "User credentials are empty or cannot be resolved")
	}
	return a.verify(ctx, strings.ToLower(login), password, clientAddress(r.RemoteAddr))
}

func (a *authenticator) verify(ctx context.Context, login, password, address string) (string, *failure) {
	wrong := unauthenticated(idWrongCredentials, "Error during user authentication")
	credential, hasCredential := a.accounts.Credential(login)
	user, hasUser := a.accounts.User(login)
	now := a.now()
	valid := hasCredential && hasUser && user.GetEnabled() &&
		(credential.GetExpiresAtUs() == 0 || now.UnixMicro() < credential.GetExpiresAtUs())
	if valid && a.cache.Has(login, password, credential.GetPasswordHash(), now) {
		return login, nil
	}
	keys := map[string]string{loginFrom: login + "\n" + address, loginAnywhere: login, addressForAny: address}
	if wait := a.wait(keys, now); wait > 0 {
		seconds := int64((wait + time.Second - 1) / time.Second)
		return "", refuse(http.StatusTooManyRequests, idThrottled, "Too many failed log-ins: try again in %d s.", seconds).later(wait)
	}
	release, fail := a.slot(ctx)
	if fail != nil {
		return "", fail
	}
	defer release()
	if valid && a.cache.Has(login, password, credential.GetPasswordHash(), now) {
		return login, nil // somebody else's request has brought the same pair meanwhile: after a restart many do at once
	}
	hash := a.nobody
	if valid {
		hash = credential.GetPasswordHash()
	}
	if ok, err := rbac.Verify(hash, password); err != nil || !ok || !valid {
		a.settle(keys, func(t *rbac.Throttle, key string) { t.Failed(key, now) })
		a.failed()
		return "", wrong
	}
	a.settle(map[string]string{loginFrom: keys[loginFrom]}, func(t *rbac.Throttle, key string) { t.Succeeded(key) })
	a.cache.Add(login, password, credential.GetPasswordHash(), now)
	return login, nil
}

// slot waits until one more password may be hashed; release gives the slot back.
func (a *authenticator) slot(ctx context.Context) (release func(), fail *failure) {
	select {
	case a.slots <- struct{}{}:
		return func() { <-a.slots }, nil
	case <-ctx.Done():
		return nil, refuse(http.StatusServiceUnavailable, idThrottled, "Too many passwords are checked at the same time.").later(time.Second)
	}
}

func unauthenticated(id, title string) *failure {
	f := refuse(http.StatusUnauthorized, id, "%s", title)
	f.header = http.Header{"Www-Authenticate": {`Basic realm="Corda REST Worker"`}}
	return f
}

// wait returns the longest wait that any of the keys has to keep.
func (a *authenticator) wait(keys map[string]string, now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	longest := time.Duration(0)
	for kind, key := range keys {
		longest = max(longest, a.throttle[kind].Wait(key, now))
	}
	return longest
}

func (a *authenticator) settle(keys map[string]string, f func(t *rbac.Throttle, key string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for kind, key := range keys {
		f(a.throttle[kind], key)
	}
}

// changed forgets what was verified for a login.
func (a *authenticator) changed(login string) { a.cache.Drop(login) }

// clientAddress is the address that failures are counted by: the host, for IPv6 its network.
func clientAddress(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().Is4() {
		return host
	}
	network, err := ip.WithZone("").Prefix(ipv6PrefixBits)
	if err != nil {
		return host
	}
	return network.String()
}
