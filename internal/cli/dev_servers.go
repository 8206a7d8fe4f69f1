package cli

import (
	"fmt"
	"strings"

	"github.com/fairleadio/fairlead/internal/devenv"
)

// The variables that the servers' own clients read, too.
const (
	envPGPassword     = "PGPASSWORD"
	envPGPassFile     = "PGPASSFILE"
	envVaultToken     = "VAULT_TOKEN"
	envVaultNamespace = "VAULT_NAMESPACE"
	envVaultCACert    = "VAULT_CACERT"
)

// realServers takes over the servers that flags name.
func (g *Globals) realServers(f devFlags, o *devenv.Options) {
	o.Kafka, o.Prefix = f.kafka, g.flags.prefix
	if g.flags.kafkaConfig != "" {
		o.KafkaConfig = g.Path(g.flags.kafkaConfig)
	}
	o.Postgres = devenv.RealPostgres{URL: f.postgres, Password: g.env(envPGPassword)}
	o.Vault = devenv.RealVault{Address: f.vault, Token: g.env(envVaultToken), Namespace: g.env(envVaultNamespace), CAFile: g.env(envVaultCACert)}
}

// leftBehind tells what stays on servers that are not the cluster's own.
func leftBehind(left []devenv.Left) string {
	if len(left) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("on servers that are not its own this stays; whoever may can remove it:\n")
	for _, l := range left {
		fmt.Fprintf(&b, "  %s\n", l.What)
		for _, command := range l.Remove {
			fmt.Fprintf(&b, "    %s\n", command)
		}
	}
	return b.String()
}
