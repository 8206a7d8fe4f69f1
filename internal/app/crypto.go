package app

import (
	"context"
	"fmt"

	"github.com/fairleadio/fairlead/internal/vault"
	"github.com/fairleadio/fairlead/processors/crypto"
	"github.com/fairleadio/fairlead/schemas"
	cryptov1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/crypto/v1"
	"github.com/fairleadio/fairlead/topics"
)

// buildCrypto makes the only worker that has a token for Vault.
func (a *App) buildCrypto() error {
	metrics, err := crypto.NewMetrics(a.metrics)
	if err != nil {
		return err
	}
	v := a.cfg.Vault
	client, err := vault.New(vault.Config{
		Address: v.Address, CAFile: v.CAFile, Namespace: v.Namespace, Mount: v.Mount, Timeout: v.Timeout,
		Auth: vault.Auth{
			Method: vault.Method(v.Auth), Path: v.AuthPath, Role: v.Role, JWTFile: v.JWTFile, RoleIDFile: v.RoleIDFile,
			SecretIDFile: v.SecretIDFile, SecretIDWrapped: v.SecretIDWrapped, TokenFile: v.TokenFile,
		},
		Log: a.log, Observe: metrics.Observe,
	})
	if err != nil {
		return err
	}
	keys, err := a.views.get(topics.CryptoKeys, schemas.Codec[*cryptov1.Key]())
	if err != nil {
		return err
	}
	worker, err := crypto.NewWorker(crypto.Config{Concurrency: v.Concurrency}, crypto.Deps{Vault: client, Keys: keys, Log: a.log, Metrics: metrics})
	if err != nil {
		return err
	}
	engine, err := a.addGroup(Crypto, worker.Graph(), crypto.Tune)
	if err != nil {
		return err
	}
	a.beside("login to Vault", client.Run)
	a.beside("watch over Vault", func(ctx context.Context) error { return worker.Run(ctx, engine) })
	a.beside("look at Vault's policy", func(ctx context.Context) error { return warnOfExcess(ctx, a, client) })
	return nil
}

// warnOfExcess says once when the token may do more than the crypto worker needs, then waits for the end.
func warnOfExcess(ctx context.Context, a *App, client *vault.Client) error {
	if !client.WaitLoggedIn(ctx) {
		return nil
	}
	paths, err := client.Excess(ctx)
	if err != nil && ctx.Err() == nil {
		a.log.Warn("cannot tell whether Vault's token may do too much", "error", err)
	}
	if len(paths) > 0 {
		a.log.Warn("Vault's token may do what the crypto worker never needs; use policy fairlead-crypto.hcl alone (docs/operate/keys.md)", "paths", fmt.Sprint(paths))
	}
	<-ctx.Done()
	return nil
}
