package rest

import (
	"errors"
	"fmt"
	"time"
)

// Config is the settings of the worker. The zero value of a field takes the default named.
type Config struct {
	// MaxBody bounds a request's body in bytes (default 1 MiB: an argument of a flow is at most 512 KiB).
	MaxBody int64
	// StartTimeout is how long POST /flow waits for the flow mapper's decision (default 20 s).
	StartTimeout time.Duration
	// RequestTimeout is how long a request to another worker waits for its reply (default 30 s).
	RequestTimeout time.Duration
	// MaxUpload bounds a package file in bytes (default 200,000,000, as Corda's maxContentLength).
	MaxUpload int64
	// UploadDir is where a package lies while it comes in; empty takes the system's directory for temporary files.
	UploadDir string
	// MaxWait bounds what "Prefer: wait=" can ask for (default 60 s).
	MaxWait time.Duration
	// LoginFailures is how many wrong passwords a login from one address may send within LoginWindow
	// (default 10 in one minute); a login from all addresses together, and an address for all logins, have ten
	// times as many.
	LoginFailures int
	// LoginWindow is the window of LoginFailures (default 1 min).
	LoginWindow time.Duration
	// CredentialCache is how long a verified pair of login and password is remembered (default 60 s).
	CredentialCache time.Duration
	// Verifications bounds the password hashes that are computed at the same time (default 2).
	Verifications int
	// PlatformVersion is what getprotocolversion answers (default 50200).
	PlatformVersion int
}

// WithDefaults returns the settings with every zero replaced.
func (c Config) WithDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if c.MaxBody == 0 {
		c.MaxBody = 1 << 20
	}
	def(&c.StartTimeout, 20*time.Second)
	def(&c.RequestTimeout, 30*time.Second)
	def(&c.MaxWait, 60*time.Second)
	if c.MaxUpload == 0 {
		c.MaxUpload = 200_000_000
	}
	def(&c.LoginWindow, time.Minute)
	def(&c.CredentialCache, time.Minute)
	if c.LoginFailures == 0 {
		c.LoginFailures = 10
	}
	if c.Verifications == 0 {
		c.Verifications = 2
	}
	if c.PlatformVersion == 0 {
		c.PlatformVersion = 50200
	}
	return c
}

// Validate says what is wrong with the settings, naming the key.
func (c Config) Validate() error {
	var errs []error
	if c.MaxBody < 0 || c.MaxBody > 200_000_000 {
		errs = append(errs, fmt.Errorf("rest.max_body is %d: 1 to 200000000 bytes are allowed", c.MaxBody))
	}
	for _, d := range []struct {
		key   string
		value time.Duration
	}{
		{"start_timeout", c.StartTimeout}, {"request_timeout", c.RequestTimeout}, {"max_wait", c.MaxWait}, {"login_window", c.LoginWindow}, {"credential_cache", c.CredentialCache},
	} {
		if d.value < 0 || d.value > 10*time.Minute {
			errs = append(errs, fmt.Errorf("rest.%s is %s: at most 10m is allowed", d.key, d.value))
		}
	}
	if c.LoginFailures < 0 || c.Verifications < 0 {
		errs = append(errs, errors.New("rest.login_failures and rest.verifications must not be negative"))
	}
	return errors.Join(errs...)
}
