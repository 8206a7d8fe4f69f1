package vault

import (
	"context"
	"errors"
	"fmt"
)

// Look asks a server whether it can be set up with a token: it answers, is initialised and unsealed, and knows the token.
// The returned version is the server's. An unknown token is an error of kind [LoggedOut].
func Look(ctx context.Context, s SetupConfig) (version string, err error) {
	cfg := s.Config()
	if err := cfg.Validate(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*cfg.Timeout)
	defer cancel()
	outside := cfg
	outside.Namespace = "" // the server's own state is not in a namespace
	a, err := newAPI(outside)
	if err != nil {
		return "", err
	}
	a.SetMaxRetries(0)
	const doing = "ask Vault how it is"
	status, err := a.Sys().SealStatusWithContext(ctx)
	switch {
	case err != nil:
		return "", classify(doing, err)
	case !status.Initialized:
		return "", &Error{Kind: Sealed, Doing: doing, Err: errors.New("it is not initialised")}
	case status.Sealed:
		return "", &Error{Kind: Sealed, Doing: doing, Err: errors.New("it is sealed")}
	}
	if s.Token == "" {
		return status.Version, nil
	}
	if a, err = newAPI(cfg); err != nil {
		return "", err
	}
	a.SetToken(s.Token)
	if _, err := a.Auth().Token().LookupSelfWithContext(ctx); err != nil {
		e := classify("look at the token", err)
		if e.Kind == Denied {
			e.Kind = LoggedOut
		}
		return "", e
	}
	return status.Version, nil
}

// TryLogin logs in once, and tells why that does not work.
func TryLogin(ctx context.Context, cfg Config) error {
	c, err := New(cfg)
	if err != nil {
		return err
	}
	if _, err := c.login(ctx); err != nil {
		return fmt.Errorf("try to log in: %w", err)
	}
	return nil
}
