package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"
)

// Client is one process's connection to Vault. Its methods may be called from many goroutines.
type Client struct {
	cfg Config
	api *api.Client

	mu     sync.Mutex
	state  error  // why there is no token; nil when there is one
	token  string // the one that is in use
	loss   chan struct{}
	secret string // the secret id that a wrapping token held
	from   string // that wrapping token
}

// New makes a client; nothing is asked of Vault before [Client.Run] logs in.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	a, err := newAPI(cfg)
	if err != nil {
		return nil, err
	}
	notYet := &Error{Kind: LoggedOut, Doing: "log in to Vault", Err: errors.New("not logged in yet")}
	return &Client{cfg: cfg, api: a, state: notYet, loss: make(chan struct{}, 1)}, nil
}

// newAPI makes the HTTP client. The environment has no say: settings come from the configuration, which shows where
// each is from.
func newAPI(cfg Config) (*api.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	transport.MaxIdleConnsPerHost = 4 * runtime.GOMAXPROCS(0)
	transport.ForceAttemptHTTP2 = true
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("vault.ca_file: %w", err)
		}
		transport.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !transport.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("vault.ca_file: %s holds no PEM certificate", cfg.CAFile)
		}
	}
	a, err := api.NewClient(&api.Config{Address: cfg.Address, Timeout: 2 * createTimes * cfg.Timeout, HttpClient: &http.Client{
		Transport: transport,
		// The client follows Vault's own redirects; nobody else's.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, fmt.Errorf("make a client of Vault at %s: %w", cfg.Address, err)
	}
	a.SetToken("")
	a.ClearNamespace()
	if cfg.Namespace != "" {
		a.SetNamespace(cfg.Namespace)
	}
	return a, nil
}

// Mount is the path of the transit engine.
func (c *Client) Mount() string { return c.cfg.Mount }

// LoggedIn returns nil while there is a token, else why there is none.
func (c *Client) LoggedIn() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// WaitLoggedIn waits until there is a token; false when ctx ends first.
func (c *Client) WaitLoggedIn(ctx context.Context) bool {
	for c.LoggedIn() != nil {
		if !pause(ctx, firstWait) {
			return false
		}
	}
	return ctx.Err() == nil
}

// call runs one request to Vault within its time. An answer of 403 is looked into: when the token itself is no longer
// good, a new login is asked for.
func (c *Client) call(ctx context.Context, doing string, f func(ctx context.Context, a *api.Client) error) error {
	return c.callFor(ctx, c.cfg.Timeout, doing, f)
}

// callFor is call with a time of its own.
func (c *Client) callFor(ctx context.Context, most time.Duration, doing string, f func(ctx context.Context, a *api.Client) error) error {
	c.mu.Lock()
	state, token := c.state, c.token
	c.mu.Unlock()
	if state != nil {
		return state
	}
	began := time.Now()
	err := c.attempt(ctx, most, doing, token, f)
	if c.cfg.Observe != nil {
		var observed error
		if err != nil {
			observed = err
		}
		c.cfg.Observe(doing, time.Since(began), observed)
	}
	if err != nil {
		return err
	}
	return nil
}

func (c *Client) attempt(ctx context.Context, most time.Duration, doing, token string, f func(ctx context.Context, a *api.Client) error) error {
	callCtx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	e := classify(doing, f(callCtx, c.api))
	if e == nil {
		return nil
	}
	if e.Kind != Denied {
		return e
	}
	lookCtx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	if _, err := c.api.Auth().Token().LookupSelfWithContext(lookCtx); err != nil {
		switch kind := kindOf(err); kind {
		case Denied:
			return c.lost(token, &Error{Kind: LoggedOut, Doing: doing, Err: errors.New("the token has ended or was revoked")})
		case Sealed, Unreachable:
			return &Error{Kind: kind, Doing: doing, Err: terse(err)}
		default: // the token is not to blame
		}
	}
	return e
}

// lost notes that a token is gone, unless another has taken its place, and asks for a new login.
func (c *Client) lost(token string, why *Error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token == token && c.state == nil {
		c.state = why
		select {
		case c.loss <- struct{}{}:
		default:
		}
	}
	return why
}

// have notes a token, or why there is none.
func (c *Client) have(token string, state error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.token, c.state = token, state
	c.api.SetToken(token)
}

// canary is a key that nobody makes: asking about it shows that mount and policy are as they should be.
const canary = "fairlead-check"

// Check finds out whether Vault can serve: that it answers, is unsealed, takes the token, has the mount, and that the
// policy allows what this package does. The error's kind says what to wait for.
func (c *Client) Check(ctx context.Context) error {
	var have map[string][]string
	err := c.call(ctx, "check what the token may do", func(ctx context.Context, a *api.Client) error {
		var err error
		have, err = c.capabilities(ctx, a)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range c.needed() {
		if !allows(have[p.path], p.capability) {
			return &Error{Kind: Denied, Doing: "check what the token may do",
				Err: fmt.Errorf("the policy does not allow %q on %s: write policy fairlead-crypto.hcl for this mount (docs/operate/keys.md)", p.capability, p.path)}
		}
	}
	err = c.call(ctx, "check the mount", func(ctx context.Context, a *api.Client) error {
		_, err := read(ctx, a, c.cfg.Mount+"/keys/"+canary)
		var resp *api.ResponseError
		if !errors.As(err, &resp) || resp.StatusCode != http.StatusNotFound {
			return err
		}
		if len(resp.Errors) == 0 {
			return nil // the engine is there, the key is not
		}
		// What is not mounted an operator must mount: to the worker it is as what is forbidden.
		return &api.ResponseError{StatusCode: http.StatusForbidden, Errors: []string{"no transit engine is mounted at " + c.cfg.Mount}}
	})
	return err
}

// Excess returns the paths of the mount that the token may use and should not, such as for a root token.
func (c *Client) Excess(ctx context.Context) ([]string, error) {
	var out []string
	err := c.call(ctx, "check what the token may do", func(ctx context.Context, a *api.Client) error {
		have, err := c.capabilities(ctx, a)
		for _, p := range c.forbidden() {
			if caps := have[p]; len(caps) > 0 && caps[0] != "deny" {
				out = append(out, p)
			}
		}
		return err
	})
	return out, err
}

type need struct{ path, capability string }

func (c *Client) needed() []need {
	m := c.cfg.Mount
	return []need{
		{m + "/keys/" + canary, "create"}, {m + "/keys/" + canary, "read"}, {m + "/sign/" + canary, "update"},
		{m + "/decrypt/" + canary, "update"}, {m + "/datakey/plaintext/" + canary, "update"},
	}
}

func (c *Client) forbidden() []string {
	m := c.cfg.Mount
	return []string{m + "/export/signing-key/" + canary, m + "/backup/" + canary, m + "/keys/" + canary + "/config", m + "/keys/" + canary + "/rotate"}
}

// capabilities asks for everything at once.
func (c *Client) capabilities(ctx context.Context, a *api.Client) (map[string][]string, error) {
	paths := c.forbidden()
	for _, n := range c.needed() {
		paths = append(paths, n.path)
	}
	s, err := a.Logical().WriteWithContext(ctx, "sys/capabilities-self", map[string]any{"paths": paths})
	if err != nil {
		return nil, err
	}
	out := map[string][]string{}
	for _, p := range paths {
		list, _ := dataOf(s)[p].([]any)
		for _, v := range list {
			if word, ok := v.(string); ok {
				out[p] = append(out[p], word)
			}
		}
	}
	return out, nil
}

func allows(capabilities []string, want string) bool {
	for _, have := range capabilities {
		if have == want || have == "root" {
			return true
		}
	}
	return false
}

func dataOf(s *api.Secret) map[string]any {
	if s == nil {
		return nil
	}
	return s.Data
}
