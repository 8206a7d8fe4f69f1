package vault

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"
)

// Config says where Vault is and how to log in.
type Config struct {
	// Address is Vault's URL, https://vault:8200. Required.
	Address string
	// CAFile holds PEM certificates that the server is checked against; empty takes the system's.
	CAFile string
	// Namespace is for Vault Enterprise, HCP and OpenBao namespaces; empty for none.
	Namespace string
	// Mount is the path of the transit engine. Default [DefaultMount].
	Mount string
	Auth  Auth
	// Timeout bounds one call. Default 3 s.
	Timeout time.Duration
	// Log receives what an operator should see; nil for slog.Default().
	Log *slog.Logger
	// Observe is told of every call: what it did, how long it took and how it failed. It must not block; may be nil.
	Observe func(doing string, took time.Duration, err error)
}

// Method is a way to log in.
type Method string

// The methods.
const (
	// Kubernetes shows the service account's token. Best in a cluster.
	Kubernetes Method = "kubernetes"
	// AppRole shows a role id and a secret id.
	AppRole Method = "approle"
	// TokenFile takes a token from a file. For development.
	TokenFile Method = "token"
)

// Auth says how to log in. Files are read at each login, so that what is in them may change.
type Auth struct {
	Method Method
	// Path is where the method is mounted below auth/. Default: the method's name.
	Path string
	// Role is the role of Kubernetes auth.
	Role string
	// JWTFile is the service account's token. Default [DefaultJWTFile].
	JWTFile string
	// RoleIDFile and SecretIDFile are for AppRole.
	RoleIDFile, SecretIDFile string
	// SecretIDWrapped says that SecretIDFile holds a response-wrapping token, which is good once. The secret id that
	// it holds is kept in memory; after a restart the file must hold a new one.
	SecretIDWrapped bool
	// TokenFile is for [TokenFile].
	TokenFile string
}

// Defaults.
const (
	DefaultMount   = "fairlead-transit"
	DefaultTimeout = 3 * time.Second
	DefaultJWTFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"
)

func (c Config) withDefaults() Config {
	if c.Mount == "" {
		c.Mount = DefaultMount
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Auth.Path == "" {
		c.Auth.Path = string(c.Auth.Method)
	}
	if c.Auth.JWTFile == "" {
		c.Auth.JWTFile = DefaultJWTFile
	}
	return c
}

// Validate says everything that is wrong, naming fields by their configuration keys below "vault".
func (c Config) Validate() error {
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if u, err := url.Parse(c.Address); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		add("vault.address: %q is not a URL such as https://vault:8200", c.Address)
	}
	if c.Timeout < 0 {
		add("vault.timeout: must not be negative")
	}
	need := func(key, value string) {
		if value == "" {
			add("vault.%s: is empty, and vault.auth is %s", key, c.Auth.Method)
		}
	}
	switch c.Auth.Method {
	case Kubernetes:
		need("role", c.Auth.Role)
	case AppRole:
		need("role_id_file", c.Auth.RoleIDFile)
		need("secret_id_file", c.Auth.SecretIDFile)
	case TokenFile:
		need("token_file", c.Auth.TokenFile)
	default:
		add("vault.auth: %q is not known; use %s, %s or %s", c.Auth.Method, Kubernetes, AppRole, TokenFile)
	}
	return errors.Join(errs...)
}
