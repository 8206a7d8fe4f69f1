package vault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

// The waits between attempts to log in grow from the first to the last, with jitter.
const (
	firstWait = 100 * time.Millisecond
	lastWait  = 10 * time.Second
)

// Run logs in, keeps the token alive and logs in anew when it has ended, until ctx ends. It returns nil then.
func (c *Client) Run(ctx context.Context) error {
	wait := firstWait
	for ctx.Err() == nil {
		secret, err := c.login(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // a clean stop
			}
			c.have("", err)
			c.cfg.Log.Warn("cannot log in to Vault; trying again", "error", err, "address", c.cfg.Address, "auth", string(c.cfg.Auth.Method))
			if !pause(ctx, wait/2+rand.N(wait)) { //nolint:gosec // jitter is no secret
				return nil
			}
			wait = min(2*wait, lastWait)
			continue
		}
		wait = firstWait
		c.have(secret.Auth.ClientToken, nil)
		c.keep(ctx, secret)
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// keep renews a token until it cannot be renewed, is lost, or ctx ends.
func (c *Client) keep(ctx context.Context, secret *api.Secret) {
	if !secret.Auth.Renewable {
		var end <-chan time.Time
		if ttl := secret.Auth.LeaseDuration; ttl > 0 {
			t := time.NewTimer(time.Duration(ttl) * time.Second * 9 / 10)
			defer t.Stop()
			end = t.C
		}
		select {
		case <-end:
		case <-c.loss:
		case <-ctx.Done():
		}
		return
	}
	renewing, err := c.anonymous(secret.Auth.ClientToken)
	if err != nil {
		c.cfg.Log.Error("cannot renew Vault's token", "error", err)
		return
	}
	renewing.SetClientTimeout(2 * c.cfg.Timeout)
	w, err := renewing.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret, RenewBehavior: api.RenewBehaviorIgnoreErrors})
	if err != nil {
		c.cfg.Log.Error("cannot renew Vault's token", "error", err)
		return
	}
	done := make(chan struct{})
	go func() { defer close(done); w.Start() }()
	defer func() { w.Stop(); <-done }()
	for {
		select {
		case err := <-w.DoneCh():
			c.cfg.Log.Info("Vault's token ends; logging in anew", "error", err)
			return
		case <-w.RenewCh():
		case <-c.loss:
			c.cfg.Log.Info("Vault no longer takes the token; logging in anew")
			return
		case <-ctx.Done():
			return
		}
	}
}

// login gets a token by the configured method.
func (c *Client) login(ctx context.Context) (*api.Secret, error) {
	const doing = "log in to Vault"
	select {
	case <-c.loss: // of a token that is gone anyway
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, 2*c.cfg.Timeout)
	defer cancel()
	var secret *api.Secret
	var err error
	switch auth := c.cfg.Auth; auth.Method {
	case Kubernetes:
		var jwt string
		if jwt, err = readSecret("jwt_file", auth.JWTFile); err == nil {
			secret, err = c.loginWith(ctx, map[string]any{"role": auth.Role, "jwt": jwt})
		}
	case AppRole:
		var role, id string
		if role, err = readSecret("role_id_file", auth.RoleIDFile); err == nil {
			if id, err = c.secretID(ctx); err == nil {
				secret, err = c.loginWith(ctx, map[string]any{"role_id": role, "secret_id": id})
			}
		}
	default:
		secret, err = c.loginToken(ctx)
	}
	if err != nil {
		// Whatever is wrong with a login, it is tried again, for files and roles can be mended.
		kind := kindOf(err)
		if kind != Sealed && kind != Unreachable {
			kind = LoggedOut
		}
		if fileErr := (*fileError)(nil); errors.As(err, &fileErr) {
			kind = LoggedOut
		}
		return nil, &Error{Kind: kind, Doing: doing, Err: terse(err)}
	}
	return secret, nil
}

// fileError is a credential that cannot be read.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

func readSecret(key, file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", &fileError{fmt.Errorf("vault.%s: %w", key, err)}
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", &fileError{fmt.Errorf("vault.%s: %s is empty", key, file)}
	}
	return s, nil
}

// anonymous is a client without a token, so that a login does not disturb calls that still use the old one.
func (c *Client) anonymous(token string) (*api.Client, error) {
	a, err := c.api.CloneWithHeaders()
	if err != nil {
		return nil, fmt.Errorf("make a client for the login: %w", err)
	}
	a.SetToken(token)
	return a, nil
}

func (c *Client) loginWith(ctx context.Context, body map[string]any) (*api.Secret, error) {
	a, err := c.anonymous("")
	if err != nil {
		return nil, err
	}
	s, err := a.Logical().WriteWithContext(ctx, "auth/"+c.cfg.Auth.Path+"/login", body)
	if err != nil {
		return nil, err
	}
	if s == nil || s.Auth == nil || s.Auth.ClientToken == "" {
		return nil, fmt.Errorf("%w: the login brought no token", errAnswer)
	}
	return s, nil
}

// loginToken reads the token and asks Vault how long it lives.
func (c *Client) loginToken(ctx context.Context) (*api.Secret, error) {
	token, err := readSecret("token_file", c.cfg.Auth.TokenFile)
	if err != nil {
		return nil, err
	}
	a, err := c.anonymous(token)
	if err != nil {
		return nil, err
	}
	s, err := a.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		return nil, err
	}
	ttl, err := s.TokenTTL()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	renewable, err := s.TokenIsRenewable()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	return &api.Secret{Auth: &api.SecretAuth{ClientToken: token, LeaseDuration: int(ttl.Seconds()), Renewable: renewable}}, nil
}

// secretID reads AppRole's secret id, out of its wrapping when it is wrapped.
func (c *Client) secretID(ctx context.Context) (string, error) {
	s, err := readSecret("secret_id_file", c.cfg.Auth.SecretIDFile)
	if err != nil || !c.cfg.Auth.SecretIDWrapped {
		return s, err
	}
	c.mu.Lock()
	known, from := c.secret, c.from
	c.mu.Unlock()
	if known != "" && from == s {
		return known, nil
	}
	a, err := c.anonymous("")
	if err != nil {
		return "", err
	}
	// Who wrapped it is asked before it is spent: another path means that somebody put a secret of theirs there.
	look, err := a.Logical().WriteWithContext(ctx, "sys/wrapping/lookup", map[string]any{"token": s})
	if kind := kindOf(err); err != nil && (kind == Sealed || kind == Unreachable) {
		return "", err
	}
	if err != nil {
		return "", &fileError{fmt.Errorf("vault.secret_id_file: the wrapping token cannot be used (it is good once and for a short time; "+
			"if no process of yours used it, somebody else did): %w", terse(err))}
	}
	path, _ := dataOf(look)["creation_path"].(string)
	if !strings.HasPrefix(path, "auth/"+c.cfg.Auth.Path+"/role/") || !strings.HasSuffix(path, "/secret-id") {
		return "", &fileError{fmt.Errorf("vault.secret_id_file: the wrapping token was made by %q, not by auth/%s/role/…/secret-id: do not trust it", path, c.cfg.Auth.Path)}
	}
	b, err := c.anonymous(s)
	if err != nil {
		return "", err
	}
	out, err := b.Logical().UnwrapWithContext(ctx, "")
	if err != nil {
		return "", err
	}
	id, _ := dataOf(out)["secret_id"].(string)
	if id == "" {
		return "", fmt.Errorf("%w: the wrapping holds no secret_id", errAnswer)
	}
	c.mu.Lock()
	c.secret, c.from = id, s
	c.mu.Unlock()
	return id, nil
}
