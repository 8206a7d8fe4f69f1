package app

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/internal/config"
)

// CheckSettings says at once all that the settings lack for these workers, where [New] stops at the first; with files
// also which of the files that they name cannot be read. It reaches no server.
func CheckSettings(c config.Config, workers []string, files bool) error {
	var errs []error
	needed := func(by []string, key, value, what string) {
		if value == "" {
			errs = append(errs, fmt.Errorf("%s: is not set, and %s %s it: %s", key, strings.Join(by, " and "), verb(by), what))
		}
	}
	readable := func(key, file string) {
		if file == "" || !files {
			return
		}
		f, err := os.Open(file)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
			return
		}
		_ = f.Close() // only opened
	}
	among := func(types ...string) []string {
		return slices.DeleteFunc(types, func(t string) bool { return !slices.Contains(workers, t) })
	}
	for key, file := range map[string]string{"kafka.ca_file": c.Kafka.CAFile, "kafka.cert_file": c.Kafka.CertFile, "kafka.key_file": c.Kafka.KeyFile, "kafka.password_file": c.Kafka.PasswordFile} {
		readable(key, file)
	}
	if by := among(Database, Persistence); len(by) > 0 {
		p := c.Postgres
		needed(by, "postgres.url", p.URL, "the cluster's database, postgres://user@host:port/database")
		needed(by, "postgres.vnode_url", p.VnodeURL, "the database of the virtual nodes, another one than postgres.url")
		needed(by, "postgres.seal_key_file", p.SealKeyFile, "what `openssl rand -base64 32` writes, the same for all database and persistence workers")
		if p.URL != "" && p.URL == p.VnodeURL {
			errs = append(errs, errors.New("postgres.vnode_url: is the same as postgres.url: tenants' SQL runs there, so it must be a database of its own"))
		}
		readable("postgres.password_file", p.PasswordFile)
		readable("postgres.vnode_password_file", p.VnodePasswordFile)
		readable("postgres.seal_key_file", p.SealKeyFile)
	}
	if len(among(Database)) > 0 {
		readable("bootstrap.admin_password_file", c.Bootstrap.AdminPasswordFile)
		if c.Bootstrap.AdminUser != "" && c.Bootstrap.AdminPassword == "" && c.Bootstrap.AdminPasswordFile == "" {
			errs = append(errs, errors.New("bootstrap.admin_password_file: is not set, and bootstrap.admin_user needs a password"))
		}
	}
	if by := among(Crypto); len(by) > 0 {
		v := c.Vault
		needed(by, "vault.address", v.Address, "the URL of Vault or OpenBao, https://vault:8200")
		readable("vault.ca_file", v.CAFile)
		switch v.Auth {
		case "approle":
			needed(by, "vault.role_id_file", v.RoleIDFile, "vault.auth is approle")
			needed(by, "vault.secret_id_file", v.SecretIDFile, "vault.auth is approle")
			readable("vault.role_id_file", v.RoleIDFile)
			readable("vault.secret_id_file", v.SecretIDFile)
		case "token":
			needed(by, "vault.token_file", v.TokenFile, "vault.auth is token")
			readable("vault.token_file", v.TokenFile)
		default:
			readable("vault.jwt_file", v.JWTFile)
		}
	}
	if by := among(Rest); len(by) > 0 && !c.Rest.Plaintext {
		needed(by, "rest.certificate_file", c.Rest.CertificateFile, "a PEM certificate chain and, in rest.key_file, its key; or rest.plaintext behind a proxy that adds TLS")
		readable("rest.certificate_file", c.Rest.CertificateFile)
		readable("rest.key_file", c.Rest.KeyFile)
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func verb(by []string) string {
	if len(by) == 1 {
		return "needs"
	}
	return "need"
}
