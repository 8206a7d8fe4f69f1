package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/fairleadio/fairlead/internal/app"
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

// goneDev says that the development cluster of a context does not run any more, and how to start it; empty when it runs, or
// the context is none of fairlead dev's.
func goneDev(s Settings) string {
	// A dev cluster's password lies in its data directory.
	dir := filepath.Dir(s.PasswordFile)
	if s.PasswordFile == "" || !devenv.Made(dir) {
		return ""
	}
	if running, err := devenv.Running(dir); running || err != nil {
		return ""
	}
	start := []string{program(), "dev", "--data", dir}
	if info, err := devenv.ReadInfo(dir); err == nil && len(info.Arguments) > 0 {
		start = append([]string{program(), "dev"}, info.Arguments...) // it ended without a chance to tidy up
	}
	for i, a := range start {
		start[i] = quoteArgument(a)
	}
	return fmt.Sprintf("the development cluster in %s does not run any more; start it again, it continues where it ended: %s", dir, strings.Join(start, " "))
}

// quoteArgument writes an argument as a shell reads it.
func quoteArgument(a string) string {
	if strings.ContainsAny(a, " '\"$&;()<>|*?") {
		return "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return a
}

// arguments are those of fairlead dev that start the same cluster again, without secrets: arguments of a process are for
// everybody to see.
func (g *Globals) devArguments(f devFlags) []string {
	args := []string{"--data", f.data}
	add := func(flag, value, usual string) {
		if value != usual {
			args = append(args, flag, value)
		}
	}
	add("--rest-address", f.rest, devenv.DefaultRestAddress)
	add("--workers", f.workers, app.All)
	add("--network", f.network, devenv.OneCluster)
	add("--app", f.app, "")
	if f.native {
		args = append(args, "--native")
	}
	add("--kafka", strings.Join(f.kafka, ","), "")
	if g.flags.kafkaConfig != "" && len(f.kafka) > 0 {
		args = append(args, "--kafka-config", g.Path(g.flags.kafkaConfig))
	}
	url, _ := devenv.RedactPostgres(f.postgres)
	add("--postgres", url, "")
	add("--vault", f.vault, "")
	add("--prefix", g.flags.prefix, "")
	return args
}
