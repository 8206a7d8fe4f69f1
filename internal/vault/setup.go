package vault

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
)

//go:embed policy/fairlead-crypto.hcl
var policyText string

// Policy returns the least policy of the crypto worker for a mount.
func Policy(mount string) string {
	return strings.ReplaceAll(policyText, `"`+DefaultMount+`/`, `"`+mount+`/`)
}

// SetupConfig says what [Setup] prepares.
type SetupConfig struct {
	// Address and Token are of a server on which the token may do everything.
	Address, Token string
	// CAFile and Namespace are as in [Config].
	CAFile, Namespace string
	// Name is the name of policy and role, and of the AppRole mount below auth/. Default "fairlead-crypto".
	Name string
	// Mount is where the transit engine goes. Default [DefaultMount].
	Mount string
	// Dir gets the files role-id and secret-id, readable by the owner alone. Required.
	Dir string
	// Existing refuses to make the engine anew: what was signed with its keys could not be signed any more. The error's kind
	// is [NotFound].
	Existing bool
	// TokenPeriod is after how long a token ends that is not renewed. Default one hour.
	TokenPeriod time.Duration
	Log         *slog.Logger
}

// Config is the configuration that uses what [Setup] makes.
func (s SetupConfig) Config() Config {
	if s.Name == "" {
		s.Name = defaultName
	}
	return Config{Address: s.Address, CAFile: s.CAFile, Namespace: s.Namespace, Mount: s.Mount, Log: s.Log, Auth: Auth{
		Method: AppRole, Path: s.Name, RoleIDFile: filepath.Join(s.Dir, "role-id"), SecretIDFile: filepath.Join(s.Dir, "secret-id"),
	}}.withDefaults()
}

// defaultName is what is made for a cluster that has no name of its own.
const defaultName = "fairlead-crypto"

// Setup prepares a server for development and tests: the transit engine, the policy, AppRole with a role of the
// policy, and a secret id, in files. Repeated, it mends what differs and makes a new secret id only when the old one is
// no longer good. It returns the configuration that uses what it made.
func Setup(ctx context.Context, s SetupConfig) (Config, error) {
	if s.Name == "" {
		s.Name = defaultName
	}
	if s.TokenPeriod == 0 {
		s.TokenPeriod = time.Hour
	}
	cfg := s.Config()
	if err := cfg.Validate(); err != nil {
		return Config{}, err
	}
	if s.Dir == "" {
		return Config{}, errors.New("vault: SetupConfig.Dir is empty")
	}
	a, err := newAPI(cfg)
	if err != nil {
		return Config{}, err
	}
	a.SetToken(s.Token)
	if err := mountEngine(ctx, a, cfg.Mount, s.Existing); err != nil {
		return Config{}, err
	}
	if err := a.Sys().PutPolicyWithContext(ctx, s.Name, Policy(cfg.Mount)); err != nil {
		return Config{}, classify("write the policy "+s.Name, err)
	}
	if err := setupRole(ctx, a, s, cfg); err != nil {
		return Config{}, err
	}
	return cfg, nil
}

// mountEngine mounts transit where it is not, and keeps encryption from making keys.
func mountEngine(ctx context.Context, a *api.Client, mount string, existing bool) error {
	doing := "mount a transit engine at " + mount
	if existing {
		if _, err := a.Sys().MountConfigWithContext(ctx, mount); kindOf(err) == Permanent || kindOf(err) == NotFound {
			return &Error{Kind: NotFound, Doing: "look for the transit engine at " + mount, Err: terse(err)}
		}
	}
	err := a.Sys().MountWithContext(ctx, mount, &api.MountInput{Type: "transit", Description: "keys of fairlead"})
	if err != nil && !saysInUse(err) {
		return classify(doing, err)
	}
	mounted, err := a.Sys().MountConfigWithContext(ctx, mount)
	if err != nil {
		return classify(doing, err)
	}
	if mounted == nil {
		return &Error{Kind: NotFound, Doing: doing, Err: errors.New("it is not there")}
	}
	if _, err := a.Logical().WriteWithContext(ctx, mount+"/config/keys", map[string]any{"disable_upsert": true}); err != nil {
		return classify("keep encryption from making keys in "+mount, err)
	}
	return nil
}

func saysInUse(err error) bool {
	var resp *api.ResponseError
	return errors.As(err, &resp) && resp.StatusCode == http.StatusBadRequest && strings.Contains(strings.Join(resp.Errors, " "), "path is already in use")
}

// setupRole enables AppRole, makes the role and writes its ids.
func setupRole(ctx context.Context, a *api.Client, s SetupConfig, cfg Config) error {
	doing := "set up AppRole " + s.Name
	err := a.Sys().EnableAuthWithOptionsWithContext(ctx, s.Name, &api.EnableAuthOptions{Type: "approle"})
	if err != nil && !saysInUse(err) {
		return classify(doing, err)
	}
	role := "auth/" + s.Name + "/role/" + s.Name
	if _, err := a.Logical().WriteWithContext(ctx, role, map[string]any{
		"token_policies": []string{s.Name}, "token_no_default_policy": true, "token_period": s.TokenPeriod.String(),
		"secret_id_ttl": "0", "secret_id_num_uses": 0,
	}); err != nil {
		return classify(doing, err)
	}
	id, err := a.Logical().ReadWithContext(ctx, role+"/role-id")
	if err != nil {
		return classify(doing, err)
	}
	roleID, _ := dataOf(id)["role_id"].(string)
	if roleID == "" {
		return &Error{Kind: Permanent, Doing: doing, Err: fmt.Errorf("%w: no role id", errAnswer)}
	}
	if err := writeSecret(cfg.Auth.RoleIDFile, roleID); err != nil {
		return err
	}
	if known, err := readSecret("secret_id_file", cfg.Auth.SecretIDFile); err == nil {
		look, err := a.Logical().WriteWithContext(ctx, role+"/secret-id/lookup", map[string]any{"secret_id": known})
		if err == nil && look != nil {
			return nil
		}
	}
	made, err := a.Logical().WriteWithContext(ctx, role+"/secret-id", map[string]any{})
	if err != nil {
		return classify(doing, err)
	}
	secret, _ := dataOf(made)["secret_id"].(string)
	if secret == "" {
		return &Error{Kind: Permanent, Doing: doing, Err: fmt.Errorf("%w: no secret id", errAnswer)}
	}
	return writeSecret(cfg.Auth.SecretIDFile, secret)
}

// writeSecret writes a file that only the owner reads, whole or not at all.
func writeSecret(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("make the directory of %s: %w", file, err)
	}
	if err := os.WriteFile(file+".part", []byte(text+"\n"), 0o600); err != nil {
		return fmt.Errorf("write a credential: %w", err)
	}
	if err := os.Rename(file+".part", file); err != nil {
		return fmt.Errorf("write a credential: %w", err)
	}
	return nil
}
